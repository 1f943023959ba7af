"""Images, model registry, tracking, keys and the budget."""
