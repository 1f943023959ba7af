"""Model evaluation: metrics, the record of an evaluation, gates."""
