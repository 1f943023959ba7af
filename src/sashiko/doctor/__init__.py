"""Checks of an account before a deploy, and before a run."""
