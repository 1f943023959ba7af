"""Sources of data and weights, and the lake."""
