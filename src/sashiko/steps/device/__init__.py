"""Compares the served artifact with the evaluated model, on an endpoint or on this machine."""
