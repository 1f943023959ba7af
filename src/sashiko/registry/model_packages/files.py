"""A model's files in S3: under a prefix named by their manifest, whose digest a KMS key signs."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from sashiko.core.aws_calls import Clients
from sashiko.core.files import canonical_json, read_json, sha256_file
from sashiko.errors import InputError
from sashiko.registry.model_packages.clients import told

MANIFEST_FILE = "manifest-sha256.json"
SIGNATURE_FILE = "manifest-signature.json"
# Of an ECC_NIST_P256 key, as the Platform stack makes it.
_ALGORITHM = "ECDSA_SHA_256"


@dataclass(frozen=True, kw_only=True)
class ModelFiles:
    """What a version consists of, and where it lies.

    Attributes:
        folder: the files on this machine, their manifest with them.
        uri: S3 prefix without a final slash: the same files have the same one.
        digests: name -> hex SHA-256, the manifest's content.
        manifest_sha256: of the manifest itself.
    """

    folder: Path
    uri: str
    digests: Mapping[str, str]
    manifest_sha256: str

    def at(self, name: str) -> str:
        """Returns the S3 URI of a file."""
        return f"{self.uri}/{name}"


def model_files(folder: Path, *, below: str) -> ModelFiles:
    """Reads a folder's manifest.

    Args:
        folder: holds the manifest and every file that it names.
        below: S3 URI that the model's prefix lies under.

    Raises:
        InputError: if the manifest is missing.
    """
    manifest = folder / MANIFEST_FILE
    digest = sha256_file(manifest)
    return ModelFiles(
        folder=folder,
        uri=f"{below}/{digest[:16]}",
        digests=read_json(manifest),
        manifest_sha256=digest,
    )


def publish(clients: Clients, files: ModelFiles, *, key: str) -> None:
    """Signs the manifest and puts the files, the manifest and last the signature into S3.

    S3 takes a file only with the digest that the manifest names, and a prefix without a signature
    is of a job that was killed: the same files go to the same place when it is started again.

    Args:
        clients: of S3 and KMS.
        files: the model.
        key: alias or ARN of the signing key.

    Raises:
        InputError: if KMS does not sign, a file is not what the manifest says, or S3 refuses it.
    """
    signature = _signature(clients, files, key=key)
    for name, digest in files.digests.items():
        _put(clients, files, name, digest=digest)
    _put(clients, files, MANIFEST_FILE, digest=files.manifest_sha256)
    place = urlsplit(files.at(SIGNATURE_FILE))
    with told(f"write {files.at(SIGNATURE_FILE)}"):
        clients.s3.put_object(Bucket=place.netloc, Key=place.path.lstrip("/"), Body=signature)


def _signature(clients: Clients, files: ModelFiles, *, key: str) -> bytes:
    with told(f"sign the manifest with the key {key}"):
        answer = clients.kms.sign(
            KeyId=key,
            Message=bytes.fromhex(files.manifest_sha256),
            MessageType="DIGEST",
            SigningAlgorithm=_ALGORITHM,
        )
    return canonical_json(
        {
            "key": answer["KeyId"],
            "algorithm": answer["SigningAlgorithm"],
            "manifest_sha256": files.manifest_sha256,
            "signature": base64.b64encode(answer["Signature"]).decode(),
        }
    )


def _put(clients: Clients, files: ModelFiles, name: str, *, digest: str) -> None:
    path, place = files.folder / name, urlsplit(files.at(name))
    found = sha256_file(path) if path.is_file() else "nothing"
    if found != digest:
        raise InputError(
            f"{name} is not the file that the manifest names: sha256 {found} instead of {digest}; "
            "run the step again"
        )
    with told(f"write {files.at(name)}"), path.open("rb") as content:
        clients.s3.put_object(
            Bucket=place.netloc,
            Key=place.path.lstrip("/"),
            Body=content,
            ChecksumSHA256=base64.b64encode(bytes.fromhex(digest)).decode(),
        )
