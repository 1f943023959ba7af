"""The checks of the preflight on a version of this machine's registry, which signs nothing."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sashiko.base.custom_resource import RefusedError
from sashiko.errors import InputError
from sashiko.registry.attestation import MANIFEST_FILE
from sashiko.registry.preflight.version_check import check_approved, check_gates
from sashiko.registry.versions import ModelVersion, Registry


@dataclass(frozen=True)
class RegisteredFiles:
    """The files of a version, compared with the manifest beside them."""

    registry: Registry
    version: ModelVersion

    @cached_property
    def digests(self) -> Mapping[str, str]:
        """Name -> hex SHA-256, by the manifest."""
        digests: Mapping[str, str] = json.loads(self._read(MANIFEST_FILE))
        return digests

    def json(self, name: str) -> Any:
        """Reads a JSON file.

        Raises:
            RefusedError: if it is missing, was not registered or was changed.
        """
        content = self._read(name)
        if hashlib.sha256(content).hexdigest() != self.digests.get(name):
            raise RefusedError(
                f"{self.version.group} version {self.version.version}: {name} is not the file that "
                "was registered; reject the version and register it again"
            )
        return json.loads(content)

    def _read(self, name: str) -> bytes:
        try:
            return self.registry.file(self.version, name)
        except InputError as error:
            raise RefusedError(str(error)) from error


def check_registered(
    registry: Registry, version: ModelVersion, *, gates: str, allow_waived: bool
) -> None:
    """Checks that a version may score: approved, each gate passed, and no waiver is over.

    The artifact itself is compared with its digest when it is downloaded. `gates` and
    `allow_waived` are those of `check_gates`.

    Raises:
        InputError: with the reason, if it may not.
    """
    name = f"{version.group} version {version.version}"
    try:
        check_approved(name, version.status)
        files = RegisteredFiles(registry, version)
        check_gates(files, name=name, gates=gates, allow_waived=allow_waived)
    except RefusedError as error:
        raise InputError(f"preflight refused: {error}") from error
