"""A person asks an endpoint that sleeps: the answer, the failure, and the end of patience."""

import io
from typing import Any

import pytest
from botocore.exceptions import ClientError
from typer.testing import CliRunner

from sashiko.account import asynchronous
from sashiko.account.account import Account
from sashiko.cli import app
from sashiko.errors import InputError
from tests.infra.variants import recipes_of, settings_of

SETTINGS = settings_of("asleep")
(RECIPE,) = recipes_of(SETTINGS)
ENDPOINT = "sashiko-dev-complaint-triage"
BUCKET = "sashiko-dev-capture-111122223333-us-east-1"


class Fake:
    """S3 and SageMaker, which answers after some looks."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.request: Any = None
        self.answers: dict[str, bytes] = {}  # place -> what comes there
        self.looks = 3

    def put_object(self, *, Key: str, Body: bytes, **_: Any) -> None:  # noqa: N803 - botocore's
        self.objects[Key] = Body

    def get_object(self, *, Key: str, **_: Any) -> Any:  # noqa: N803 - botocore's
        self.looks -= 1
        if self.looks > 0 or Key not in self.answers:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": io.BytesIO(self.answers[Key])}

    def invoke_endpoint_async(self, **request: Any) -> Any:
        self.request = request
        return {"OutputLocation": f"s3://{BUCKET}/out", "FailureLocation": f"s3://{BUCKET}/failed"}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    fake, clock = Fake(), [0.0]
    monkeypatch.setattr(Account, "client", lambda *_: fake)
    monkeypatch.setattr(asynchronous.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(
        asynchronous.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    )
    return fake


def test_a_request_is_an_object_and_its_answer_is_waited_for(fake, capsys):
    fake.answers["out"] = b'[{"score": 0.5}]'
    assert asynchronous.ask(SETTINGS, RECIPE, b"body", within=600) == '[{"score": 0.5}]'
    ((key, body),) = fake.objects.items()
    name = key.removeprefix(f"{ENDPOINT}/input/").removesuffix(".json")
    assert body == b"body"
    assert fake.request["InputLocation"] == f"s3://{BUCKET}/{key}"
    assert (fake.request["InferenceId"], fake.request["Filename"]) == (name, f"{name}.out")
    assert fake.request["RequestTTLSeconds"] == 600
    assert "may have to wake" in capsys.readouterr().err


def test_what_fails_says_why_and_what_nobody_answers_expires(fake):
    with pytest.raises(InputError, match="not answered within 60 seconds, and expires"):
        asynchronous.ask(SETTINGS, RECIPE, b"body", within=60)
    fake.answers["failed"] = b"400: inputs is missing"
    with pytest.raises(InputError, match="failed: 400: inputs is missing"):
        asynchronous.ask(SETTINGS, RECIPE, b"body", within=60)


def test_an_endpoint_that_does_not_sleep_is_not_asked_so(fake):
    with pytest.raises(InputError, match=r"key `serving\.mode`: real-time"):
        asynchronous.ask(settings_of("serving"), RECIPE, b"body", within=60)
    assert fake.objects == {}


@pytest.mark.parametrize("within", ["59", "21601"])
def test_a_request_waits_as_long_as_sagemaker_lets_it(within):
    result = CliRunner().invoke(app, ["model", "invoke", "a", "--env", "dev", "--within", within])
    assert result.exit_code == 2
