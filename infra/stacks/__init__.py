"""The stacks, one a file."""
