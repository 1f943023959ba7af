"""`sashiko audit`, `cost`, `empty`, `images`, `stage`, and runs of an account."""
