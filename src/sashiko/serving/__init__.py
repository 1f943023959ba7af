"""Served artifacts: the container's own files, and what reads, serves or inspects an artifact."""
