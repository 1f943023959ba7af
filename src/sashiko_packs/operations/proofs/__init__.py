"""Probes of an account: what is believed of AWS, the calls that settle it, and their records."""
