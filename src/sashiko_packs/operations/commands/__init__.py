"""`sashiko audit`, `cost`, `empty` and `images`."""
