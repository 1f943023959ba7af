"""Reads the governed lake of an account through Athena."""
