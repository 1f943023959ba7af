"""The report of a run: one HTML file, built from the run's files."""
