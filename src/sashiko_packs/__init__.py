"""Packs: features that a project turns on by its list `packs:`, and can leave out."""
