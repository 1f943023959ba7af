"""The sweep's page."""
