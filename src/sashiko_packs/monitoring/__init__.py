"""Monitors a deployed model: captured requests, and drift, audited quality and bias of a window."""
