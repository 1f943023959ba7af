"""The jobs that see facets."""
