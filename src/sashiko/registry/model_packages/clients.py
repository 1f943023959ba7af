"""Clients of the services that hold a registered model, and what their errors mean to a person."""

from functools import partial

from sashiko.core import aws_calls as calls

_ADVICE: calls.Advice = (
    (
        ("kms:Sign",),
        "allow this role kms:Sign on the signing key, which the Platform stack makes",
    ),
    (
        ("NotFoundException: Alias", "NotFoundException: Key"),
        "deploy the Platform stack, which makes the signing key",
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
told = partial(calls.translate_errors, advice=_ADVICE)
