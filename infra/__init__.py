"""What the project has in an AWS account: repository code, run as `python -m infra.app`."""
