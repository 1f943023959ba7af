"""The monitor's flows, alarms and dashboard."""
