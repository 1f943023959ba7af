"""Permissions: as the templates grant them, and as the account has them."""
