"""The bias gates."""
