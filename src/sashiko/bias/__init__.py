"""Bias: Clarify's metrics with intervals, reweighing, gates, and the report's section."""
