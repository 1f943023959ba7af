"""Monitors a deployed model: captured requests, and the drift, audited quality and bias of a window."""
