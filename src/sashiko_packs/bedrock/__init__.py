"""Amazon Bedrock: what Custom Model Import takes, and its jobs."""
