"""What runs in Lambda: standard library and boto3 alone (sashiko_cdk.functions.python_function)."""
