"""All that talks to, or about, an AWS account."""
