"""Rule -> a resource that breaks it: see tests/infra/test_rules.py."""

BROKEN = {
    "invoked-through-guardrail": {
        "Type": "AWS::IAM::ManagedPolicy",
        "Properties": {
            "PolicyDocument": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "bedrock:InvokeModel",
                        "Resource": "arn:aws:bedrock:us-east-1:111122223333:imported-model/x",
                    }
                ],
            }
        },
    },
    "guardrail-version": {
        "Type": "AWS::Bedrock::Guardrail",
        "Properties": {"Name": "x", "BlockedInputMessaging": "no", "BlockedOutputsMessaging": "no"},
    },
}
