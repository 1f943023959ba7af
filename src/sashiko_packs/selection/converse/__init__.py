"""Amazon Bedrock's Converse: requests, a budget, answers that are recorded and replayed."""
