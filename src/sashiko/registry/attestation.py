"""in-toto attestations: statements with SLSA provenance, and the envelope that signs one.

The formats are Statement v1 (github.com/in-toto/attestation, spec/v1/statement.md), SLSA Provenance
v1 (slsa.dev/spec/v1.1/provenance) and DSSE 1.0 (github.com/secure-systems-lab/dsse). A function
writes statements too, so this module imports the standard library alone. What the `buildType`s
mean is in docs/provenance.md.

A version's manifest names the statements about what the model was made in. The statement about the
model names the manifest, so the manifest cannot name it: in an account it is signed by itself.
"""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal

Build = Literal["wheel", "image", "model"]

_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_PREDICATE: Final = "https://slsa.dev/provenance/v1"
_PAYLOAD: Final = "application/vnd.in-toto+json"
# Folder of the artifacts bucket for the statements about images.
STATEMENTS: Final = "provenance/images"
# Files of a version.
MANIFEST_FILE: Final = "manifest-sha256.json"
SIGNATURE_FILE: Final = "manifest-signature.json"
STATEMENT_FILE: Final = "provenance.json"  # about the model, unsigned
ENVELOPE_FILE: Final = "provenance.intoto.json"  # the same, in a signed envelope
PROVENANCE_FOLDER: Final = "provenance/"  # of the statements about images and the engine's wheel
WHEEL_FILE: Final = f"{PROVENANCE_FOLDER}wheel.json"


@dataclass(frozen=True, kw_only=True)
class Resource:
    """An artifact of a statement (`ResourceDescriptor`); it has a URI, a digest or both."""

    name: str = ""  # within the statement
    uri: str = ""
    digest: Mapping[str, str] = field(default_factory=dict)  # algorithm -> value, in hex
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """The hex SHA-256 of its content, or nothing."""
        return self.digest.get("sha256", "")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """The provenance of artifacts: what built them, from what."""

    build: Build  # names the `buildType`
    subject: tuple[Resource, ...]  # what was built; each has a digest
    parameters: Mapping[str, str]  # `externalParameters`: what the builder was asked for
    dependencies: tuple[Resource, ...]  # `resolvedDependencies`
    builder: str  # URI of what ran the build, and wrote this
    invocation: str = ""  # id of the run of the builder

    def subject_digest(self, name: str) -> str:
        """Returns the hex SHA-256 of a subject, or nothing."""
        return next((item.sha256 for item in self.subject if item.name == name), "")

    def dependency(self, name: str) -> Resource | None:
        """Returns the dependency of that name."""
        return next((item for item in self.dependencies if item.name == name), None)

    def to_json(self) -> bytes:
        """Writes it in one line; equal statements give equal bytes."""
        definition = {
            "buildType": _build_type(self.build),
            "externalParameters": dict(self.parameters),
            "resolvedDependencies": _descriptors(self.dependencies),
        }
        run: dict[str, Any] = {"builder": {"id": self.builder}}
        if self.invocation:
            run["metadata"] = {"invocationId": self.invocation}
        predicate = {"buildDefinition": definition, "runDetails": run}
        kinds = {"_type": _STATEMENT, "predicateType": _PREDICATE}
        return _json({**kinds, "subject": _descriptors(self.subject), "predicate": predicate})


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A statement's bytes with their signatures, which say nothing until they are verified."""

    payload: bytes
    signatures: tuple[bytes, ...]


def read_statement(content: bytes, *, build: Build) -> Statement:
    """Reads a statement about a kind of build; fields that the formats do not have are ignored.

    Raises:
        ValueError: if it is none.
    """
    try:
        value = json.loads(content)
        definition, run = (value["predicate"][key] for key in ("buildDefinition", "runDetails"))
        kinds = (value["_type"], value["predicateType"], definition["buildType"])
        if kinds != (_STATEMENT, _PREDICATE, _build_type(build)):
            raise ValueError(f"it is of the kinds {', '.join(kinds)}")
        subject = _resources(value["subject"])
        if not subject or not all(item.digest for item in subject):
            raise ValueError("a subject has no digest")
        return Statement(
            build=build,
            subject=subject,
            parameters=definition["externalParameters"],
            dependencies=_resources(definition.get("resolvedDependencies") or ()),
            builder=run["builder"]["id"],
            invocation=(run.get("metadata") or {}).get("invocationId") or "",
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        problem = f"it is not SLSA provenance v1 about a build of {build}: {error}"
        raise ValueError(problem) from error


def signature_input(payload: bytes) -> bytes:
    """Returns what a signature of a statement is made over: DSSE's pre-authentication encoding."""
    return b"DSSEv1 %d %s %d %s" % (len(_PAYLOAD), _PAYLOAD.encode(), len(payload), payload)


def write_envelope(payload: bytes, *, signature: bytes, key: str) -> bytes:
    """Writes a signed statement; `key` is a hint that no verifier may rely on."""
    content, sig = (base64.b64encode(part).decode() for part in (payload, signature))
    signatures = [{"keyid": key, "sig": sig}]
    return _json({"payloadType": _PAYLOAD, "payload": content, "signatures": signatures})


def read_envelope(content: bytes) -> Envelope:
    """Reads an envelope, and verifies nothing.

    Raises:
        ValueError: if it is none, or of another payload.
    """
    try:
        value = json.loads(content)
        if value["payloadType"] != _PAYLOAD:
            raise ValueError(f"its payload is {value['payloadType']}")
        signatures = tuple(_decoded(item["sig"]) for item in value["signatures"])
        return Envelope(payload=_decoded(value["payload"]), signatures=signatures)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"it is not the envelope of a statement: {error}") from error


def statement_key(image: str) -> str:
    """Returns the key, in the artifacts bucket, of the statement about one of the own images.

    `image` is its URI, whose tag never moves.
    """
    repository, _, tag = image.rpartition("/")[2].partition(":")
    return f"{STATEMENTS}/{repository}/{tag}.json"


def image_statement_file(image: str) -> str:
    """Names a version's file about an image; `image` is its URI by tag."""
    return f"{PROVENANCE_FOLDER}{image.rpartition('/')[2].partition(':')[0]}.json"


def image_purl(image: str) -> str:
    """Returns an image's package URL (`pkg:oci`) of its URI by tag or by digest."""
    path, by_digest, digest = image.partition("@")
    host, _, rest = path.partition("/")
    repository, _, tag = rest.partition(":")
    version = f"@{digest.replace(':', '%3A')}" if by_digest else ""
    place = f"repository_url={host}/{repository}{f'&tag={tag}' if tag else ''}"
    return f"pkg:oci/{repository.rpartition('/')[2]}{version}?{place}"


def image_uri(purl: str) -> str:
    """Returns an image's URI of its package URL by tag, as `image_purl` writes it."""
    place, _, tag = purl.partition("?repository_url=")[2].partition("&tag=")
    return f"{place}:{tag}"


def _build_type(build: str) -> str:
    return f"urn:sashiko:build:{build}:v1"


def _descriptors(items: Iterable[Resource]) -> list[dict[str, Any]]:
    return [{key: value for key, value in asdict(item).items() if value} for item in items]


def _resources(items: Iterable[Mapping[str, Any]]) -> tuple[Resource, ...]:
    return tuple(
        Resource(
            name=item.get("name") or "",
            uri=item.get("uri") or "",
            digest=dict(item.get("digest") or {}),
            annotations=dict(item.get("annotations") or {}),
        )
        for item in items
    )


def _json(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{text}\n".encode()


def _decoded(text: str) -> bytes:
    """Decodes either alphabet of base64, as a verifier must."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
