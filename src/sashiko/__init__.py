"""Sashiko: a governed path from raw data to a fine-tuned, served model."""

__version__ = "0.1.0"
