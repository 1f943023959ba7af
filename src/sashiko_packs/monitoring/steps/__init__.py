"""The steps of the monitoring pipeline: one module a step."""
