"""The data contract: read once, and everything that follows from it."""
