"""Windows, captures and labels in an account."""
