"""A regular package: a dependency installs a `tests` of its own, which would hide a namespace."""
