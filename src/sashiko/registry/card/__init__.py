"""The model card for the approval of a version, as JSON and as Markdown."""
