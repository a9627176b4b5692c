"""The `meridian` command: what users do with a stack."""
