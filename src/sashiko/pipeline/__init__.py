"""A pipeline from its definition to a finished run: building, checking, staging, running here."""
