"""What every room builds on: files, YAML, Parquet, SageMaker's job folders, plug-ins."""
