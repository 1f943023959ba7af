"""What a person asks of an account: is it ready, as deployed, and affordable, and who may read."""
