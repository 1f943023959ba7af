"""What the security checks say about an environment's templates, on one page.

Checks that stop a synth stand beside two that only report: cdk-nag's NIST 800-53 R5 pack, and
checkov. A finding that is meant is explained where the resource is made (`acknowledge`).
"""
