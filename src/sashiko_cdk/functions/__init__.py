"""Lambda functions, from the engine's own modules."""
