"""The model of a SageMaker pipeline definition, and the check that this machine can run it."""
