"""From an approved version to the commit that names it in an environment's settings."""
