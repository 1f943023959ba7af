"""A model's files in S3: the prefix is named by their manifest, which a KMS key signs."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sashiko.base.aws_calls import Clients
from sashiko.base.files import canonical_json, read_json, sha256_bytes, sha256_file
from sashiko.errors import InputError
from sashiko.registry.attestation import signature_input, write_envelope
from sashiko.registry.model_packages.clients import translate_errors
from sashiko.registry.provenance import ENVELOPE_FILE, STATEMENT_FILE

MANIFEST_FILE = "manifest-sha256.json"
SIGNATURE_FILE = "manifest-signature.json"
# For an ECC_NIST_P256 key, as the Platform stack creates it.
_ALGORITHM = "ECDSA_SHA_256"


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """The files of a version, and their S3 prefix."""

    folder: Path
    uri: str  # S3 prefix without a final slash; equal files have equal prefixes
    digests: Mapping[str, str]  # name -> hex SHA-256, the manifest's content
    manifest_sha256: str

    def file_uri(self, name: str) -> str:
        """Returns the S3 URI of a file."""
        return f"{self.uri}/{name}"


def model_files(folder: Path, *, prefix: str) -> ModelFiles:
    """Reads a folder's manifest.

    Raises:
        InputError: if the manifest is missing.
    """
    manifest = folder / MANIFEST_FILE
    digest = sha256_file(manifest)
    return ModelFiles(
        folder=folder,
        uri=f"{prefix}/{digest[:16]}",
        digests=read_json(manifest),
        manifest_sha256=digest,
    )


def publish(clients: Clients, files: ModelFiles, *, key: str) -> None:
    """Signs manifest and provenance, and uploads the files, and last the manifest's signature.

    S3 accepts a file only with the digest in the manifest. A prefix without a signature is from a
    killed job: a retry uploads the same files to the same prefix.

    Raises:
        InputError: if KMS does not sign, a file is not what the manifest says, or S3 refuses it.
    """
    signature = _signature(clients, files, key=key)
    statement = files.folder / STATEMENT_FILE
    envelope = _envelope(clients, statement.read_bytes(), key=key) if statement.is_file() else None
    for name, digest in files.digests.items():
        _put(clients, files, name, digest=digest)
    _put(clients, files, MANIFEST_FILE, digest=files.manifest_sha256)
    contents = {ENVELOPE_FILE: envelope, SIGNATURE_FILE: signature}
    for name, content in contents.items():
        if content is not None:
            location = urlsplit(files.file_uri(name))
            with translate_errors(f"write {files.file_uri(name)}"):
                clients.s3.put_object(
                    Bucket=location.netloc, Key=location.path.lstrip("/"), Body=content
                )


def signing_key_arn(clients: Clients, alias: str) -> str:
    """Returns the ARN of the key that an alias names now: one key signs all of a version.

    Raises:
        InputError: if there is no such key, or KMS does not answer.
    """
    with translate_errors(f"find the signing key {alias}"):
        return str(clients.kms.describe_key(KeyId=alias)["KeyMetadata"]["Arn"])


def _signature(clients: Clients, files: ModelFiles, *, key: str) -> bytes:
    answer = _sign(clients, files.manifest_sha256, of="manifest", key=key)
    return canonical_json(
        {
            "key": answer["KeyId"],
            "algorithm": answer["SigningAlgorithm"],
            "manifest_sha256": files.manifest_sha256,
            "signature": base64.b64encode(answer["Signature"]).decode(),
        }
    )


def _envelope(clients: Clients, statement: bytes, *, key: str) -> bytes:
    digest = sha256_bytes(signature_input(statement))
    answer = _sign(clients, digest, of="provenance", key=key)
    return write_envelope(statement, signature=answer["Signature"], key=answer["KeyId"])


def _sign(clients: Clients, sha256: str, *, of: str, key: str) -> Mapping[str, Any]:
    with translate_errors(f"sign the {of} with the key {key}"):
        answer: Mapping[str, Any] = clients.kms.sign(
            KeyId=key,
            Message=bytes.fromhex(sha256),
            MessageType="DIGEST",
            SigningAlgorithm=_ALGORITHM,
        )
    return answer


def _put(clients: Clients, files: ModelFiles, name: str, *, digest: str) -> None:
    path, location = files.folder / name, urlsplit(files.file_uri(name))
    sha256 = sha256_file(path) if path.is_file() else "nothing"
    if sha256 != digest:
        raise InputError(
            f"{name} is not the file that the manifest names: sha256 {sha256} instead of {digest}; "
            "run the step again"
        )
    with translate_errors(f"write {files.file_uri(name)}"), path.open("rb") as content:
        clients.s3.put_object(
            Bucket=location.netloc,
            Key=location.path.lstrip("/"),
            Body=content,
            ChecksumSHA256=base64.b64encode(bytes.fromhex(digest)).decode(),
        )
