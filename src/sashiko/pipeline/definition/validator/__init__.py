"""Judges a definition as SageMaker would, without asking it: from botocore's models of its API."""
