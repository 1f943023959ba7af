"""Compares runs, verifies them again, and traces a version back to its sources."""
