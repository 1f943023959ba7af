"""The report of a run: one HTML file, built from the run's files."""

from sashiko.report.html import write_report as write_report
