"""The metadata of a model package: S3 URIs, digests, ids and single words.

SageMaker limits its metadata's keys to 128 and values to 256 characters, of letters, digits, spaces
and `_.:/=+-@` (CustomerMetadataKey and CustomerMetadataValue in botocore's model of the API), and
supports tags on a group, not on a version (aws-cdk #33699). Free text and nested values are in the
signed files and in the model card.
"""

from collections.abc import Mapping

import regex

from sashiko.errors import InputError
from sashiko.registry.model_packages.files import MANIFEST_FILE, SIGNATURE_FILE, ModelFiles

_ALLOWED = regex.compile(r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*")
_MAX_LENGTHS = {"key": 128, "value": 256}
_FREE_TEXT = frozenset({"gate.bias.reason", "gate.device.reason"})


def package_metadata(
    tags: Mapping[str, str], files: ModelFiles, *, run_id: str | None
) -> dict[str, str]:
    """Returns a package's metadata.

    Raises:
        InputError: naming the entry that SageMaker would refuse.
    """
    values = {key: value for key, value in tags.items() if key not in _FREE_TEXT} | {
        "manifest": files.file_uri(MANIFEST_FILE),
        "manifest_sha256": files.manifest_sha256,
        "signature": files.file_uri(SIGNATURE_FILE),
    }
    if run_id is not None:
        values["mlflow_run_id"] = run_id
    for key, value in values.items():
        _check("key", key, entry=key)
        _check("value", value, entry=key)
    return values


def _check(kind: str, text: str, *, entry: str) -> None:
    if not 0 < len(text) <= _MAX_LENGTHS[kind]:
        raise InputError(
            f"metadata `{entry}`: its {kind} has {len(text)} characters, a model package takes 1 "
            f"to {_MAX_LENGTHS[kind]}; shorten it in the recipe or the contract"
        )
    if not _ALLOWED.fullmatch(text):
        raise InputError(
            f"metadata `{entry}`: a model package takes letters, digits, spaces and _.:/=+-@, not "
            f"{text!r}; change it in the recipe or the contract"
        )
