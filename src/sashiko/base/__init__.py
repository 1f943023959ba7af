"""Shared foundations: files, YAML, Parquet, SageMaker's job folders, plug-ins."""
