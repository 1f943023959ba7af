"""Metrics as pure functions on arrays: quality, bias, uncertainty."""
