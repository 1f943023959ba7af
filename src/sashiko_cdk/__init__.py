"""Constructs, security rules and the bootstrap of an environment: a library over aws_cdk.

In each construct `settings` is the environment, `key` encrypts what it writes, if only its log, and
`removal_policy` says what becomes of its stateful resources when the stack is destroyed.
"""
