"""Validates a definition offline against botocore's model of SageMaker's API."""
