"""Endpoints: what they run, how they scale and are watched, and the check before an update."""
