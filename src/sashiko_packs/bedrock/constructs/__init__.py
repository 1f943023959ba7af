"""What an environment has on Amazon Bedrock."""
