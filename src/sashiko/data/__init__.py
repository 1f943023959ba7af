"""Where data and weights come from, and the local lake."""
