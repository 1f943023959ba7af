"""The parts of the Train step: examples, model, loop, checkpoints, and what makes it repeatable."""
