"""What an operator sees: metrics and health, over HTTP."""
