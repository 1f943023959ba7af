"""The VPC's endpoints and flow logs."""
