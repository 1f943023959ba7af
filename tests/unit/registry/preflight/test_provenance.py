"""A deploy is refused for a provenance that is certainly not that of the version."""

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sashiko.base.custom_resource import RefusedError
from sashiko.base.files import sha256_file
from sashiko.registry.attestation import Resource
from tests.unit.registry.model_packages.account import KEY, replace_signing_key
from tests.unit.registry.model_packages.gathered import seal, state
from tests.unit.registry.preflight.registered import registered, write_evidence

ENVELOPE = "provenance.intoto.json"


@pytest.fixture
def evidence(tmp_path):
    """What Register gathers, with the statement about an image."""
    folder = write_evidence(tmp_path)
    (folder / "provenance").mkdir()
    (folder / "provenance/job.json").write_bytes(b"{}")
    seal(folder)
    return folder


def resource(folder: Path, name: str, **change: Any) -> tuple[Resource, ...]:
    digest = {"sha256": sha256_file(folder / name)}
    return (Resource(name=name, digest=digest | change),)


def test_a_version_with_its_own_provenance_is_served(account, evidence):
    state(evidence, dependencies=resource(evidence, "provenance/job.json"))
    assert registered(account, evidence).check().files == 16


def test_one_of_an_earlier_key_is_read_while_that_key_is_listed(account, evidence):
    state(evidence)
    version = registered(account, evidence)
    replace_signing_key(account.clients.kms, KEY)
    assert version.check(signing_keys=f"{KEY},{KEY}-1").judged.files.statement


def test_one_of_before_provenance_is_served(version):
    keys = {key.rpartition("/")[2] for key in version.account.objects()}
    assert ENVELOPE not in keys
    assert version.check().files


def fail_to_read(monkeypatch, version, code):
    read = version.clients.s3.get_object

    def fail(**request: Any) -> Any:
        if request["Key"].endswith(ENVELOPE):
            raise ClientError({"Error": {"Code": code}}, "GetObject")
        return read(**request)

    monkeypatch.setattr(version.account.clients.s3, "get_object", fail)


def test_where_s3_denies_to_say_that_it_is_missing_it_is_served(version, monkeypatch):
    fail_to_read(monkeypatch, version, "AccessDenied")
    assert version.check().files


@pytest.mark.parametrize("code", ["SlowDown", "InternalError"])
def test_where_s3_does_not_answer_a_version_is_not_taken_for_one_without_provenance(
    account, evidence, monkeypatch, code
):
    state(evidence, dependencies=resource(evidence, "provenance/job.json", sha256="0" * 64))
    version = registered(account, evidence)
    fail_to_read(monkeypatch, version, code)
    with pytest.raises(ClientError, match=code):
        version.check()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"subject": (Resource(name="model.tar.gz", digest={"sha256": "0" * 64}),)},
         "it names another model.tar.gz; it names another manifest-sha256.json"),
        ({"dependencies": (Resource(name="provenance/job.json", digest={"sha256": "0" * 64}),)},
         "it names another provenance/job.json"),
        ({"dependencies": (Resource(name="provenance/train.json", digest={"sha256": "0" * 64}),)},
         "it names another provenance/train.json"),
        ({"build": "image"}, "no SLSA provenance v1"),
    ],
)  # fmt: skip
def test_one_of_another_version_is_refused(account, evidence, change, problem):
    state(evidence, **change)
    with pytest.raises(RefusedError, match=problem):
        registered(account, evidence).check()


def test_one_that_was_changed_or_that_another_key_signed_is_refused(account, evidence):
    state(evidence)
    version = registered(account, evidence)
    content = json.loads(account.body(f"s3://{account.bucket}/{version.folder}/{ENVELOPE}"))
    forged = content | {"payload": content["payload"][:-8] + "fX19Cg=="}
    for changed in (forged, content | {"signatures": []}):
        version.put(ENVELOPE, json.dumps(changed).encode())
        with pytest.raises(RefusedError, match=f"{ENVELOPE} has no valid signature of alias/acme"):
            version.check()
    version.put(ENVELOPE, b"{}")
    with pytest.raises(RefusedError, match="no envelope of a statement"):
        version.check()
