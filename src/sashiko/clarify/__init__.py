"""What SageMaker Clarify does, done here: bias analysis and explanations."""
