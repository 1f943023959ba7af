"""The model of a SageMaker pipeline definition: what its JSON says, and whether we can run it."""
