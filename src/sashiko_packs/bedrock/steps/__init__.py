"""The guardrail's job."""
