"""What runs in Lambda: standard library and boto3 alone (src/sashiko_cdk/functions/function_code.py)."""
