"""Builds, validates and stages a pipeline, and runs it on this machine."""
