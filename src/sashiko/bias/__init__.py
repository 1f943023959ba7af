"""Bias: Clarify's metrics with intervals, intersections, reweighing, gates, their part of the report."""
