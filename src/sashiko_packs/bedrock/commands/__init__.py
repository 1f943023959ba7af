"""`sashiko model import` and `compare-import`."""
