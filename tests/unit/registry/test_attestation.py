"""Statements of provenance: held against in-toto's own bindings, and DSSE's own example."""

import base64
import json
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement as PublishedStatement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage

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

IMAGE = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/acme-dev/job:1.0-abc"


def statement(**change: Any) -> Statement:
    fields: dict[str, Any] = {
        "build": "model",
        "subject": (Resource(name="model.tar.gz", digest={"sha256": "a" * 64}),),
        "parameters": {"recipe": "loans"},
        "dependencies": (
            Resource(name="base", uri=image_purl(IMAGE), annotations={"licence": "MIT"}),
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


def test_a_signature_is_over_dsses_encoding():
    """The example of protocol.md has another payload type; the form is its form."""
    encoding = b"DSSEv1 28 application/vnd.in-toto+json 11 hello world"
    assert signature_input(b"hello world") == encoding


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
    with pytest.raises(ValueError, match="no envelope of a statement"):
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
    with pytest.raises(ValueError, match=r"no SLSA provenance v1 about a build of model"):
        read_statement(content, build="model")


def test_fields_of_a_later_minor_version_are_ignored():
    assert read_statement(_change(newer=1), build="model") == statement()


def test_an_image_is_named_by_its_package_url_and_its_statement_by_its_tag():
    host = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
    assert image_purl(IMAGE) == f"pkg:oci/job?repository_url={host}/acme-dev/job&tag=1.0-abc"
    by_digest = image_purl(f"{host}/acme-dev/job@sha256:{'d' * 64}")
    assert by_digest == f"pkg:oci/job@sha256%3A{'d' * 64}?repository_url={host}/acme-dev/job"
    assert statement_key(IMAGE) == "provenance/images/job/1.0-abc.json"
