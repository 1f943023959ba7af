"""The security report: findings in an environment's templates, on one page.

It has the checks that fail a synth and two that only report: cdk-nag's NIST 800-53 R5 pack, and
checkov. Accepted findings are explained where the resource is made (`acknowledge`).
"""
