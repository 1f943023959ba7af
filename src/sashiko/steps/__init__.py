"""The pipeline's steps, one module each, run as `python -m sashiko.steps.<name>`."""
