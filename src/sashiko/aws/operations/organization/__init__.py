"""What the AWS organization that holds the project's accounts denies, whatever a policy allows."""
