"""`sashiko monitor`."""
