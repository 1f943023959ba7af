"""What an environment is made of in its account, and the one way to call that account."""
