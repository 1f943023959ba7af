"""Clients of the registry's services, and advice for their errors."""

from functools import partial

from sashiko.base import aws_calls as calls

_ADVICE: calls.Advice = (
    (
        ("kms:Sign",),
        "allow this role kms:Sign on the signing key of the Platform stack, or run the step again "
        "if that key was replaced a moment ago",
    ),
    (
        ("NotFoundException: Alias", "NotFoundException: Key"),
        "deploy the Platform stack, which creates the signing key",
    ),
    (("DisabledException", "KMSInvalidStateException"), "enable the key, or give another one"),
    (
        ("does not exist", "Could not find"),
        "deploy the DataLake and Platform stacks: bucket and model package group are theirs",
    ),
    (
        ("BadDigest", "checksum", "Content-MD5"),
        "a file was changed while it was read; run the step again",
    ),
)
connect = partial(calls.connect, "the model registry", "sagemaker", "s3", "kms")
translate_errors = partial(calls.translate_errors, advice=_ADVICE)
