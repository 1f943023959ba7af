"""Batch scoring: rows of a governed table through the approved version."""
