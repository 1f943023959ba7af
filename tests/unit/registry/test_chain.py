"""A version's chain: each link is verified, not verifiable here, or broken."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement as PublishedStatement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage

from sashiko.base.files import canonical_json, sha256_bytes
from sashiko.contract.manifest import Manifest
from sashiko.errors import InputError
from sashiko.pipeline.witness import LocalWitness
from sashiko.registry.attestation import (
    Resource,
    Statement,
    image_purl,
    read_envelope,
    read_statement,
    signature_input,
    statement_key,
    write_envelope,
)
from sashiko.registry.chain import Link, walk_chain
from sashiko.registry.versions import ModelVersion, to_version
from tests.unit.registry.model_packages.gathered import SNAPSHOT

COMMIT = Resource(name="commit", digest={"gitCommit": "c" * 40})
IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/acme-dev/job:1-abc"
NEURON = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/neuronx:2.8"
IMAGE_STATEMENT = Statement(
    build="image",
    subject=(Resource(name="job:1-abc", digest={"sha256": "1" * 64}),),
    parameters={"base": "pytorch:2.13"},
    dependencies=(
        Resource(name="base", digest={"sha256": "b" * 64}),
        Resource(name="vendor/sashiko-1.whl", digest={"sha256": "2" * 64}),
    ),
    builder="arn:aws:codebuild:eu-west-1:1:project/p",
)
WHEEL_STATEMENT = Statement(
    build="wheel",
    subject=(
        Resource(name="sashiko-1.whl", digest={"sha256": "2" * 64}),
        Resource(name="sashiko/", digest={"dirHash": "3" * 64}),
    ),
    parameters={},
    dependencies=(),
    builder="urn:sashiko:builder:make",
)


# Confirms everything.
WITNESS = SimpleNamespace(
    signature=lambda *_: Link("provenance", "verified", ""),
    image=lambda image: Link(image.name, "verified", ""),
    definition=lambda sha256, commit: Link("definition", "verified", f"{sha256} {commit}"),
    commit=lambda commit: Link("commit", "verified", str(commit)),
    wheel=lambda wheel: Link(wheel.name, "verified", ""),
)


def resource(name: str, content: str, algorithm: str = "sha256") -> Resource:
    return Resource(name=name, digest={algorithm: content})


@dataclass
class Registry:
    statement: Statement | None = None  # about the model; None if the version has none
    arn: str | None = "arn"  # of its package; None in MLflow
    # Name -> content of what its manifest names.
    files: dict[str, bytes] = field(
        default_factory=lambda: {
            "provenance/job.json": IMAGE_STATEMENT.to_json(),
            "provenance/wheel.json": WHEEL_STATEMENT.to_json(),
        }
    )

    def __post_init__(self) -> None:
        self.manifest = canonical_json({n: sha256_bytes(c) for n, c in self.files.items()})
        self.statement = Statement(
            build="model",
            subject=(
                resource("model.tar.gz", "a" * 64),
                resource("manifest-sha256.json", sha256_bytes(self.manifest)),
            ),
            parameters={"recipe": "loans"},
            dependencies=(
                COMMIT,
                resource("definition", "5" * 64),
                resource("engine", "3" * 64, "dirHash"),
                resource("training snapshot", SNAPSHOT["sha256"]),
                resource("contract", SNAPSHOT["contract"]["sha256"]),
                Resource(
                    name="image job:1-abc", uri=image_purl(IMAGE), digest={"sha256": "1" * 64}
                ),
                Resource(name="image neuronx:2.8", uri=image_purl(NEURON)),
                *(resource(name, sha256_bytes(body)) for name, body in self.files.items()),
                resource("wheel sashiko-1.whl", "2" * 64),
            ),
            builder="urn:sashiko:builder:sagemaker",
        )

    def replace(self, *others: Resource) -> None:
        """Puts other dependencies in the place of those of their names."""
        assert self.statement
        named = {item.name: item for item in (*self.statement.dependencies, *others)}
        self.statement = replace(self.statement, dependencies=tuple(named.values()))

    def file(self, _version: ModelVersion, name: str) -> bytes:
        payload = self.statement.to_json() if self.statement else b""
        present = self.files | {
            "manifest-sha256.json": self.manifest,
            "provenance.json": payload,
            "provenance.intoto.json": write_envelope(payload, signature=b"s", key="k"),
        }
        if name not in present or (self.statement is None and "provenance." in name):
            raise InputError(f"{name} cannot be read")
        return present[name]

    def walk(self, witness: Any = None, *, artifact: str = "a" * 64) -> dict[str, Link]:
        version = to_version(
            "loans", 1, status="Approved", tags={"artifact_sha256": artifact}, aliases=(),
            arn=self.arn,
        )  # fmt: skip
        chain = walk_chain(
            self,  # type: ignore[arg-type]
            version,
            files=json.loads(self.manifest),
            snapshot=Manifest.model_validate(SNAPSHOT),
            witness=witness or WITNESS,
        )
        return {link.subject: link for link in chain}


def broken(chain: Mapping[str, Link]) -> list[str]:
    return [name for name, link in chain.items() if link.state == "broken"]


def test_a_whole_chain_is_walked_from_the_model_to_the_commit():
    chain = Registry().walk()
    assert list(chain) == [
        "provenance", "model.tar.gz", "manifest-sha256.json", "definition", "training snapshot",
        "contract", "image job:1-abc", "image job:1-abc: base",
        "image job:1-abc: wheel", "image neuronx:2.8", "wheel sashiko-1.whl", "engine", "commit",
    ]  # fmt: skip
    assert broken(chain) == []
    other = [name for name, link in chain.items() if link.state == "not verifiable here"]
    assert other == ["image job:1-abc: base", "image neuronx:2.8"]


@pytest.mark.parametrize(
    ("dependency", "link"),
    [
        (resource("training snapshot", "0" * 64), "training snapshot"),
        (resource("contract", "0" * 64), "contract"),
        (resource("image job:1-abc", "0" * 64), "image job:1-abc"),
        (resource("provenance/job.json", "0" * 64), "provenance/job.json"),
        (resource("provenance/wheel.json", "0" * 64), "provenance/wheel.json"),
        (resource("engine", "0" * 64, "dirHash"), "engine"),
        # What states no digest is verified by nothing.
        (Resource(name="contract"), "contract"),
        (Resource(name="training snapshot"), "training snapshot"),
        (Resource(name="wheel other.whl"), "wheel other.whl"),
    ],
)
def test_a_link_to_something_else_is_broken(dependency, link):
    registry = Registry()
    registry.replace(dependency)
    assert broken(registry.walk()) == [link]


def test_another_wheel_or_artifact_is_broken_and_no_provenance_is_not():
    registry = Registry()
    registry.replace(resource("wheel sashiko-1.whl", "0" * 64))
    assert broken(registry.walk()) == ["image job:1-abc: wheel", "wheel sashiko-1.whl"]
    assert broken(Registry().walk(artifact="0" * 64)) == ["model.tar.gz"]
    registry.statement = None
    (link,) = registry.walk().values()
    assert (link.state, "registered before" in link.detail) == ("not verifiable here", True)


@pytest.fixture
def witness(tmp_path):
    tags = {"execution_id": "run-1"}
    version = to_version("loans", 1, status="Approved", tags=tags, aliases=())
    settings: Any = SimpleNamespace(tier="local")
    return LocalWitness(settings, None, home=tmp_path, version=version)  # type: ignore[arg-type]


def test_this_machine_says_that_it_has_no_key_and_compares_the_runs_own_definition(
    witness, tmp_path
):
    definition = {"Parameters": [{"Name": "DefinitionSha256", "Type": "String"}], "Steps": []}
    file = tmp_path / "runs/run-1/definition.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(definition))
    registry = Registry(arn=None)
    chain = registry.walk(witness)
    assert "it is unsigned: this machine has no signing key" in chain["provenance"].detail
    assert broken(chain) == ["definition"]
    registry.replace(resource("definition", sha256_bytes(canonical_json(definition))))
    assert registry.walk(witness)["definition"].state == "verified"


def test_a_commit_that_is_not_here_or_was_not_all_of_the_code_is_not_verified(witness):
    assert "git fetch" in witness.commit(COMMIT).detail
    dirty = replace(COMMIT, annotations={"uncommitted changes": "yes"})
    assert "not committed" in witness.commit(dirty).detail
    assert witness.commit(None).state == "not verifiable here"


JOB_IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/acme-dev/job:1.0-abc"


def statement(**change: Any) -> Statement:
    fields: dict[str, Any] = {
        "build": "model",
        "subject": (Resource(name="model.tar.gz", digest={"sha256": "a" * 64}),),
        "parameters": {"recipe": "loans"},
        "dependencies": (
            Resource(name="base", uri=image_purl(JOB_IMAGE), annotations={"licence": "MIT"}),
            Resource(name="commit", digest={"gitCommit": "c" * 40}),
        ),
        "builder": "urn:sashiko:builder:local",
        "invocation": "run-1",
    }
    return Statement(**(fields | change))


def hold_against_the_published_schema(content: bytes) -> None:
    """Parses strictly: a field that the schema lacks, or of another type, is an error."""
    value = json.loads(content)
    message = ParseDict(value, StatementMessage())
    PublishedStatement.copy_from_pb(message).validate()
    provenance = ParseDict(MessageToDict(message.predicate), Provenance())
    # Required of SLSA Build L1.
    assert provenance.build_definition.build_type.startswith("urn:")
    assert "externalParameters" in value["predicate"]["buildDefinition"]
    assert provenance.run_details.builder.id


@pytest.mark.parametrize("invocation", ["", "run-1"])
def test_a_statement_is_what_in_toto_and_slsa_publish(invocation):
    original = statement(invocation=invocation)
    hold_against_the_published_schema(original.to_json())
    assert read_statement(original.to_json(), build="model") == original
    assert original.to_json().count(b"\n") == 1


def test_statements_are_signed_over_dsses_encoding_and_images_named_by_package_url():
    """The example of protocol.md has another payload type; the form is its form."""
    encoding = b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"
    assert signature_input(b"hello world") == encoding
    assert read_statement(_change(newer=1), build="model") == statement()

    host = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
    assert image_purl(JOB_IMAGE) == f"pkg:oci/job?repository_url={host}/acme-dev/job&tag=1.0-abc"
    by_digest = image_purl(f"{host}/acme-dev/job@sha256:{'d' * 64}")
    assert by_digest == f"pkg:oci/job@sha256%3A{'d' * 64}?repository_url={host}/acme-dev/job"
    assert statement_key(JOB_IMAGE) == "provenance/images/job/1.0-abc.json"


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_an_envelope_comes_back_in_either_alphabet(encode):
    payload, signature = bytes(range(250, 256)), b"\xff\xfe signed"
    value = json.loads(write_envelope(payload, signature=signature, key="arn"))
    assert value["payloadType"] == "application/vnd.in-toto+json"
    value["payload"] = encode(payload).decode()
    value["signatures"][0]["sig"] = encode(signature).decode()
    envelope = read_envelope(json.dumps(value).encode())
    assert (envelope.payload, envelope.signatures) == (payload, (signature,))


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b'{"payloadType": "text/plain", "payload": "", "signatures": []}',
     b'{"payloadType": "application/vnd.in-toto+json", "payload": "*", "signatures": []}'],
)  # fmt: skip
def test_what_is_no_envelope_is_refused(content):
    with pytest.raises(ValueError, match="not the envelope of a statement"):
        read_envelope(content)


def _change(**change: Any) -> bytes:
    return json.dumps(json.loads(statement().to_json()) | change).encode()


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[1]",
        _change(_type="https://in-toto.io/Statement/v0.1"),
        _change(predicateType="https://slsa.dev/provenance/v0.2"),
        _change(subject=[]),
        _change(subject=[{"name": "model.tar.gz"}]),
        _change(predicate={}),
        statement(build="image").to_json(),
    ],
)
def test_what_is_no_statement_about_a_model_is_refused(content):
    with pytest.raises(ValueError, match=r"not SLSA provenance v1 about a build of model"):
        read_statement(content, build="model")
