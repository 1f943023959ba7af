"""Gates: checks, verdicts and advice."""
