"""How good a model is, and whether that is enough: metrics, the record of an evaluation, gates."""
