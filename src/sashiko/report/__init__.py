"""What every page has: its frame, charts, tables and words."""
