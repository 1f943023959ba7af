"""The function that decides whether an alarm starts a run of the training pipeline."""
