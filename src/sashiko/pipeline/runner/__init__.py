"""Runs a pipeline definition on this machine, step by step, as SageMaker would."""
