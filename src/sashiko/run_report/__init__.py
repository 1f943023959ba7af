"""The report of a run: one HTML file, built from the run's files."""

from sashiko.run_report.page import write_report as write_report
