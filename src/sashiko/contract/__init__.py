"""The data contract, and what is derived from it."""
