"""`sashiko env cost`, `destroy-data`, `drift` and `images`."""
