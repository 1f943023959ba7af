"""The model card: what a person reads before approving, as JSON and as Markdown."""
