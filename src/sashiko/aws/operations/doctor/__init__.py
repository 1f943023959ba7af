"""What must be so in an account before a deploy, and before a run."""
