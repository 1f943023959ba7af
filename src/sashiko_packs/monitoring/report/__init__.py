"""The page of the windows."""
