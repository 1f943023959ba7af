"""Endpoints: models, configurations, scaling, alarms, and the check before an update."""
