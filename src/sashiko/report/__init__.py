"""The run's report: one HTML file, made from the files that the run left."""

from sashiko.report.html import write_report

__all__ = ["write_report"]
