"""`sashiko select` and `sashiko run --sweep`."""
