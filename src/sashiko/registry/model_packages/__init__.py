"""SageMaker's model registry: versions are model packages, their files and signature lie in S3."""
