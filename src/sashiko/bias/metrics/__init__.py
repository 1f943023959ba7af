"""Clarify's bias metrics on arrays."""
