"""A version's files in S3: the signed manifest and its files, read as streams."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import ClientError

from sashiko.base.aws_calls import Clients
from sashiko.base.custom_resource import RefusedError
from sashiko.registry import attestation
from sashiko.registry.preflight.expected import Expected

_ALGORITHM = "ECDSA_SHA_256"
_CHUNK_BYTES = 1 << 20
_MOST_JSON_BYTES = 16 << 20
_ABSENT = ("404", "NoSuchKey", "NotFound")
_ADVICE = "reject the version, find out who wrote there, and register it again"
_KEY_ARN = re.compile(r"arn:aws:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+")


class AbsentError(RefusedError):
    """An object that is not there."""


def connect(client: Callable[[str], Any]) -> Clients:
    """Makes the clients of the check; `client` makes that of a service."""
    services = {name: client(name) for name in ("sagemaker", "s3", "kms")}
    return Clients(**services, scaling=client("application-autoscaling"))


@dataclass(frozen=True, kw_only=True)
class SignedFiles:
    """The files of one version, none of which was read yet but the manifest."""

    clients: Clients
    uri: str  # S3 prefix without a final slash
    digests: Mapping[str, str]  # name -> hex SHA-256, as signed
    manifest_sha256: str  # the manifest's own
    manifest: bytes
    signature: str  # of the manifest, in base64
    signed_by: str  # ARN of the key that KMS verified it with
    statement: bytes | None  # of its provenance, as signed; None of a version without one

    def check(self, *, in_time: Callable[[], bool]) -> None:
        """Reads every file and compares it with its digest.

        Raises:
            RefusedError: if one is missing or changed, or time is up.
        """
        for name in self.digests:
            for _ in self._chunks(name):
                if not in_time():
                    raise RefusedError(f"no time was left to read {self.uri}/{name} to its end")

    def save(self, folder: Path) -> None:
        """Writes every file, the manifest and the statement into a folder.

        Raises:
            RefusedError: if one is missing or changed: what is there then is not to be used.
        """
        for name in self.digests:
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise RefusedError(f"{self.uri}: the manifest names {name!r}; {_ADVICE}")
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for chunk in self._chunks(name):
                    file.write(chunk)
        (folder / attestation.MANIFEST_FILE).write_bytes(self.manifest)
        if self.statement:
            (folder / attestation.STATEMENT_FILE).write_bytes(self.statement)

    def _chunks(self, name: str) -> Iterator[bytes]:
        digest = hashlib.sha256()
        for chunk in _chunks(self.clients, f"{self.uri}/{name}"):
            digest.update(chunk)
            yield chunk
        if digest.hexdigest() != self.digests[name]:
            raise RefusedError(
                f"{self.uri}/{name} is not the file that was signed (sha256 "
                f"{digest.hexdigest()}, not {self.digests[name]}); {_ADVICE}"
            )

    def json(self, name: str) -> Any:
        """Reads a signed JSON file, and compares it with its digest.

        Raises:
            RefusedError: if it was not signed, is missing or was changed.
        """
        if name not in self.digests:
            raise RefusedError(f"{self.uri}: no {name} was signed with it; register it again")
        return json.loads(_whole(f"{self.uri}/{name}", self._chunks(name)))


def signed_files(clients: Clients, uri: str, expected: Expected) -> SignedFiles:
    """Reads a version's manifest, and verifies its signature and that of its provenance.

    The expected keys alone verify: what a signature says of its key is repeated in a refusal, and
    not used. A version that was registered before provenance was written has none.

    Raises:
        RefusedError: if manifest or signature is missing, or a signature is of no expected key.
    """
    manifest = _read(clients, f"{uri}/{attestation.MANIFEST_FILE}")
    signed = _read(clients, f"{uri}/{attestation.SIGNATURE_FILE}")
    digest = hashlib.sha256(manifest).digest()
    try:
        signature = base64.b64decode(json.loads(signed)["signature"], validate=True)
    except (ValueError, KeyError, TypeError):
        signature = b""
    signed_by = signer(clients.kms, digest, signature, keys=expected.signing_keys.split(","))
    if signed_by is None:
        raise _unsigned(f"{uri}/{attestation.MANIFEST_FILE}", signed, expected)
    return SignedFiles(
        clients=clients,
        uri=uri,
        digests=json.loads(manifest),
        manifest_sha256=digest.hex(),
        manifest=manifest,
        signature=base64.b64encode(signature).decode(),
        signed_by=signed_by,
        statement=_statement(clients, f"{uri}/{attestation.ENVELOPE_FILE}", expected),
    )


def signer(kms: Any, digest: bytes, signature: bytes, *, keys: Sequence[str]) -> str | None:
    """Returns the ARN of the first key that verifies a signature of a SHA-256; None if none does.

    `keys` are aliases or ARNs, each of one's own: KMS verifies with the key that it is given
    ("Verify", KMS API Reference).

    Raises:
        ClientError: if KMS refuses a call.
    """
    for key in keys if signature else ():
        try:
            answer = kms.verify(
                KeyId=key,
                Message=digest,
                MessageType="DIGEST",
                Signature=signature,
                SigningAlgorithm=_ALGORITHM,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "KMSInvalidSignatureException":
                raise
        else:
            if answer["SignatureValid"]:
                return str(answer["KeyId"])
    return None


def _unsigned(what: str, signature: bytes, expected: Expected) -> RefusedError:
    """Returns the refusal of a signature: a key may be distrusted, or somebody wrote there."""
    named = _KEY_ARN.search(signature.decode(errors="replace"))
    return RefusedError(
        f"{expected.model_package_arn}: {what} has no valid signature of "
        f"{expected.signing_keys.replace(',', ' or ')}; it says that it is of "
        f"{named.group() if named else 'no key'}. If that is an earlier signing key which "
        "`signing_keys` of the configuration no longer lists, register the model again by "
        f"`sashiko run`, or a copy by `sashiko model promote`. If not, {_ADVICE}"
    )


def _statement(clients: Clients, uri: str, expected: Expected) -> bytes | None:
    """Returns the signed statement about a version, or None where it has none.

    S3 answers with a denial that an object is missing, if the caller may not list the bucket
    ("GetObject", S3 API Reference). The manifest beside it was read with the same permission.
    """
    try:
        content = _read(clients, uri)
    except AbsentError:
        return None
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDenied":
            raise
        return None
    try:
        envelope = attestation.read_envelope(content)
    except ValueError as error:
        raise RefusedError(f"{uri}: {error}; {_ADVICE}") from error
    digest = hashlib.sha256(attestation.signature_input(envelope.payload)).digest()
    keys = expected.signing_keys.split(",")
    if not any(signer(clients.kms, digest, item, keys=keys) for item in envelope.signatures):
        raise _unsigned(uri, content, expected)
    return envelope.payload


def _read(clients: Clients, uri: str) -> bytes:
    return _whole(uri, _chunks(clients, uri))


def _whole(uri: str, chunks: Iterator[bytes]) -> bytes:
    content = bytearray()
    for chunk in chunks:
        content += chunk
        if len(content) > _MOST_JSON_BYTES:
            raise RefusedError(f"{uri} is larger than any file of its kind; {_ADVICE}")
    return bytes(content)


def _chunks(clients: Clients, uri: str) -> Iterator[bytes]:
    """Streams an object: an artifact is larger than the memory and the disk of a function."""
    place = urlsplit(uri)
    try:
        body = clients.s3.get_object(Bucket=place.netloc, Key=place.path.lstrip("/"))["Body"]
    except ClientError as error:
        if error.response["Error"]["Code"] not in _ABSENT:
            raise
        raise AbsentError(f"{uri} is missing; {_ADVICE}") from error
    yield from body.iter_chunks(_CHUNK_BYTES)
