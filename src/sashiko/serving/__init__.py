"""Served artifacts: the container's own files, and what else reads, serves or inspects an artifact."""
