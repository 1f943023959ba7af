"""Compares an account with the templates."""
