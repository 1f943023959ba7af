"""A project's way from a merge to its accounts: repository, builds, pipeline, people."""
