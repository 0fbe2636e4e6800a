"""Networks by name (zoo), the model file (bundle) and what runs them (backends)."""
