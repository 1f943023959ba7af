"""What runs left behind, looked into: compared, checked again, and traced back from a version."""
