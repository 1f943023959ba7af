"""Runs of the pipeline in an account: what they read, their start, and how they go."""
