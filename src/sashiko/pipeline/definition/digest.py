"""The digest of a definition, which its own parameter carries to the step that registers."""

import copy
from collections.abc import Mapping
from typing import Any, Final

from sashiko.base.files import canonical_json, sha256_bytes

PARAMETER: Final = "DefinitionSha256"
# Parameters whose values differ for each commit, though the definition does not.
OF_THE_COMMIT: Final = ("RunManifestUri", PARAMETER)
_DEFAULT = "DefaultValue"


def definition_sha256(definition: Mapping[str, Any]) -> str:
    """Returns the hex SHA-256 of a definition without the values of the commit's parameters."""
    value = copy.deepcopy(dict(definition))
    for parameter in _named(value, *OF_THE_COMMIT):
        parameter.pop(_DEFAULT, None)
    return sha256_bytes(canonical_json(value))


def with_digest(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a definition whose parameter has the digest, if it declares one with a default."""
    value = copy.deepcopy(dict(definition))
    for parameter in _named(value, PARAMETER):
        if _DEFAULT in parameter:
            parameter[_DEFAULT] = definition_sha256(definition)
    return value


def _named(definition: Mapping[str, Any], *names: str) -> list[dict[str, Any]]:
    return [item for item in definition.get("Parameters", ()) if item.get("Name") in names]
