"""SageMaker pipelines from compiled definitions, and the functions that they call."""
