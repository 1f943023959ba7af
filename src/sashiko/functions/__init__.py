"""What runs in Lambda: standard library and boto3 alone (sashiko_cdk.functions.function_code)."""
