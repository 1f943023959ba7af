"""The parts of the Train step: examples, model, loop, checkpoints and reproducibility."""
