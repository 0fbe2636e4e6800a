"""Sources -> capture -> ring -> windows -> inference -> decisions -> publish."""
