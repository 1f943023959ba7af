"""What runs in Lambda: standard library and boto3 alone (infra/components/function_code.py)."""
