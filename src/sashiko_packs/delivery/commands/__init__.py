"""`sashiko delivery`, `model deliver` and `model rollback`."""
