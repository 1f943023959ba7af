"""Constructs, security rules and the bootstrap of an environment: a library over aws_cdk."""
