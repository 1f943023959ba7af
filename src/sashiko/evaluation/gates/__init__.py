"""Decisions: what a gate looked at, what it found, and what to try next."""
