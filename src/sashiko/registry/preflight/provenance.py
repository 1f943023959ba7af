"""Checks that a version's signed provenance is about its signed files.

What is not signed there, such as an image in the registry or a commit, is for `sashiko model
lineage`: a deploy is refused only for what is certain.
"""

from collections.abc import Iterator

from sashiko.base.custom_resource import RefusedError
from sashiko.registry.attestation import Statement, read_statement
from sashiko.registry.preflight.signed_files import SignedFiles

_ARTIFACT = "model.tar.gz"
_MANIFEST = "manifest-sha256.json"
_FOLDER = "provenance/"


def check_provenance(files: SignedFiles) -> None:
    """Compares the statement about a version with its manifest; a version without one passes.

    Raises:
        RefusedError: if the statement is about other files.
    """
    if files.statement is None:
        return
    try:
        statement = read_statement(files.statement, build="model")
    except ValueError as error:
        raise RefusedError(f"{files.uri}: its provenance: {error}; register it again") from error
    if problems := list(_problems(statement, files)):
        raise RefusedError(
            f"{files.uri}: its provenance is another version's: {'; '.join(problems)}. Reject it, "
            "find out who wrote there, and register it again"
        )


def _problems(statement: Statement, files: SignedFiles) -> Iterator[str]:
    signed = {**files.digests, _MANIFEST: files.manifest_sha256}
    for name in (_ARTIFACT, _MANIFEST):
        if statement.subject_digest(name) != signed[name]:
            yield f"it names another {name}"
    for item in statement.dependencies:
        if item.name.startswith(_FOLDER) and item.sha256 != signed.get(item.name):
            yield f"it names another {item.name}"
