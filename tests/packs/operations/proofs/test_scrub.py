"""What is the account's own is in no record, however it is written."""

import base64
import datetime as dt
import gzip
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest

from sashiko_packs.operations.proofs.execution import Execution
from sashiko_packs.operations.proofs.probe import all_probes
from sashiko_packs.operations.proofs.record import ErrorRecord
from sashiko_packs.operations.proofs.scrub import Scrubber, keep
from tests.packs.operations.proofs.world import failure, place_of, world_of

ACCOUNT = "987654321098"
PROBES = {probe.id: probe for probe in all_probes() if probe.steps}
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab"
# What must not be seen -> texts in which services say it.
PLANTED = {
    "account": [
        ACCOUNT, "9876-5432-1098", "9876 5432 1098", "987-654-321-098", f"acct{ACCOUNT}x",
        f"arn:aws:iam::{ACCOUNT}:role/Admin", f"https://sqs.us-east-1/{ACCOUNT}/q",
        f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/r:1", "arn:aws:s3:::123456789012:accesspoint/p",
    ],
    "organization": [
        "o-9zx8y7w6v5", "ou-9zx8-y7w6v5u4", "r-9zx8", "d-9067zx8y7w",
        f"arn:aws:organizations::{ACCOUNT}:policy/o-9zx8y7w6v5/service_control_policy/p-9zx8y7w6",
    ],
    "access key": [
        "AKIAI44QH8DHB9018XYZ", "ASIAIOSFODNN7EXAMPLE", "AROADBQP57FF2AEXAMPLE:alice.example",
    ],
    "secret": [
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzEBYaDHqa0AP1Ui7" * 5,
        "AQpAM2RhZTk1MGMyNTk2ZmZmMzEyYWVhOWViN2I1MWM4Mzc0MWFiYjc0ZDE1ODkyNGFlNTIzODZh",
    ],
    "email": ["ada.lovelace@example.com", "mailto:bob+x@mail.corp.example.co.uk"],
    "address": [
        "10.12.13.14", "52.94.133.131", "10.12.0.0/16", "ip-10-12-13-14.ec2.internal",
        "2600:1f18:6f2a:2800:aaaa:bbbb:cccc:dddd", "[2600:1f18:6f2a::1]:443", "fd00:ec2::23",
        "::ffff:10.12.13.14", "ec2-52-94-133-131.compute-1.amazonaws.com",
    ],
    "host": [
        "vpce-0123456789abcdef0-h3x7k2p1.sts.us-east-1.vpce.amazonaws.com", "laptop-of-lovelace",
        "9zx8y7w6v5.execute-api.us-east-1.amazonaws.com/prod", "d9zx8y7w6v5u4.cloudfront.net",
        "internal-payroll-1234567890.us-east-1.elb.amazonaws.com", "payroll.example.org",
        "payroll.cluster-9zx8y7w6v5.us-east-1.rds.amazonaws.com", "d-9067zx8y7w.awsapps.com",
    ],
    "name": [
        "alice.example", "ALICE.EXAMPLE", "arn:aws:iam::aws:user/acme-sandbox/x", "lovelace",
        "acme-sandboxdata", "payroll", "rolepayrollassume", "payroll_control_ok",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Admin_9zx8y7w6/lovelace",
    ],
    "id": [
        KEY[-36:], "vpc-0123456789abcdef0", "eni-0a1b2c3d", "d41d8cd98f00b204e9800998ecf8427e",
        "subnet-0123456789abcdef0", "ami-0123456789abcdef0", "Request ID: 4442587FB7D0A2F9",
        "(Service: Glue; Status Code: 400; Request ID: 1234abcd-347e-4fc4-9331-6e8eEXAMPLE)",
        "vlR7PnpV2Ce81l0PRw6jlUpck7Jo5ZsQjryTjKlc5aLWGVHPZLj5NeC6qMa0emYBDXOo6QBU0Wo=",
    ],
    "resource": [
        "arn:aws:s3:::payroll-of-acme/2026/rows.csv", "s3://payroll-of-acme/rows.csv", KEY,
        f"arn:aws:glue:us-east-1:{ACCOUNT}:table/payroll-of-acme/rows", "arn:aws:ram:::z/payroll",
    ],
    "signed URL": [
        "https://bucket.s3.amazonaws.com/k?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261201"
        "&X-Amz-Signature=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024",
        "https://payroll.s3.amazonaws.com/k?AWSAccessKeyId=AKIAIOSFODNN7EXAMPLE&Signature=fe5f80f7",
    ],
}  # fmt: skip
TEXTS = [text for texts in PLANTED.values() for text in texts]
WRITTEN = {
    "plain": lambda text: text,
    "message": lambda text: f"User: {text} is not authorized to perform: kms:Sign on {text}.",
    "failure": lambda text: f"AlgorithmError: gate closed: {text}trust{text}, exit code: 1",
    "quoted": lambda text: json.dumps({"Message": f"denied for '{text}'", text: text}),
    "JSON in JSON": lambda text: json.dumps({"Cause": json.dumps({"errorMessage": text})}),
    "ARN": lambda text: f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:pipeline/{text}/execution/{text}",
    "path": lambda text: f"capture/{text}/v/2026/12/01/10/{text}.jsonl",
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "URL base64": lambda text: base64.urlsafe_b64encode(f"by>>>??? {text}".encode()).decode(),
    "twice": lambda text: base64.b64encode(base64.b64encode(f"see {text}!".encode())).decode(),
    "URL": lambda text: f"https://console.aws.amazon.com/x?y={quote(text, safe='')}",
    "URL twice": lambda text: quote(quote(f"a/{text}", safe=""), safe=""),
    "zipped": lambda text: base64.b64encode(gzip.compress(text.encode())).decode(),
    "digits": lambda text: text.encode().hex(),
}
SECRETS = (
    ACCOUNT, "9876", "987-654", "123456789012", "9zx8", "9067zx", "I44QH8", "IOSFODNN7", "DBQP57",
    "bPxRfiCY", "FwoGZXIv", "AQpAM2Rh", "lovelace", "bob+x", "corp", "10.12.", "52.94", "10-12-13",
    "52-94", "2600:1f18", "fd00:", "vpce-0123", "h3x7k2p1", "payroll", "alice", "acme", "1234abcd",
    "0123456789abcdef0", "0a1b2c3d", "d41d8cd9", "4442587F", "6e8eEXAMPLE", "vlR7Pnp", "fe5f80f7",
)  # fmt: skip


def scrubber(probe: str = "kms-request-alias") -> Scrubber:
    return Scrubber(PROBES[probe], account=ACCOUNT)


def seen(text: str) -> list[str]:
    return [secret for secret in SECRETS if secret.lower() in text.lower()]


@pytest.mark.parametrize("way", WRITTEN)
def test_what_is_planted_is_not_seen_by_any_probe(way: str) -> None:
    for text in TEXTS:
        written = WRITTEN[way](text)
        assert seen(text), f"what is planted in {text}?"
        for name in PROBES:
            scrubbed = scrubber(name).text(written)
            assert written not in scrubbed
            rest = re.sub(r"<\w+-\d+>", "", scrubbed)
            assert not seen(rest), (name, scrubbed)
            assert len(rest) < 170, (name, scrubbed)  # only what is looked for


def test_a_whole_record_shows_nothing_of_the_account(tmp_path: Path, monkeypatch: Any) -> None:
    planted = " ".join(TEXTS)
    run = {"JobRun": {"JobRunState": "SUCCEEDED", "ErrorMessage": planted}}
    with world_of({"control": run, "strict_start": failure(planted, planted)}, monkeypatch):
        record = Execution(PROBES["trust-glue"], place_of(tmp_path)).record(usd=0).model_dump_json()
    assert not seen(record)
    assert "ExecutionTime" in record and "Attempt" not in record  # the fields of answers.yaml
    place = replace(place_of(tmp_path), recipes=("payroll",))
    with world_of({}, monkeypatch):
        record = Execution(PROBES["definition-accepted"], place).record(usd=0).model_dump_json()
    assert "prove-<run>-<recipe-1>" in record and not seen(record)


def test_what_a_verdict_and_a_reader_need_stays() -> None:
    denied = (
        "User: {} is not authorized to perform: kms:Sign on resource: {} because no identity-based "
        "policy allows the kms:Sign action"
    )
    said = denied.format(f"arn:aws:sts::{ACCOUNT}:assumed-role/a/b", KEY)
    assert scrubber().text(said) == denied.format("<text-1>", "<text-2>")
    unassumed = scrubber("trust-lambda").text("The role payroll cannot be assumed by Lambda.")
    assert unassumed == "<text-1>cannot be assumed<text-2>"
    key = scrubber("capture-files").text("capture/prove-0a1b2c-endpoint/v/2026/12/01/10/a.jsonl")
    assert key == "capture/<text-1>/v/2026/12/01/10/<text-2>"
    assert scrubber("kms-grant").scrub("payroll", kind="GrantId") == "<text-1>"  # it looks for that
    for code in ("NoSuchKey", "InvalidVpcID.NotFound", "404"):
        assert scrubber().error(ErrorRecord(code=code)).code == code


def test_a_value_has_one_placeholder_in_requests_answers_and_errors() -> None:
    scrub, client = scrubber(), boto3.client("kms", region_name="us-east-1")
    shape = client.meta.service_model.operation_model("CreateKey").output_shape
    answer = {"KeyMetadata": {"Arn": KEY, "AWSAccountId": ACCOUNT, "KeyState": "Enabled"}}
    assert scrub.scrub(answer, shape) == {
        "KeyMetadata": {"Arn": "<arn-1>", "AWSAccountId": "<account-1>", "KeyState": "Enabled"}
    }
    answer["KeyMetadata"]["KeyState"] = "acme"  # no state that botocore knows
    assert scrub.scrub(answer, shape)["KeyMetadata"]["KeyState"] == "<keystate-1>"
    assert scrub.text(f"User: {KEY} is not authorized to perform: x") == (
        "User: <arn-1> is not authorized to perform: <text-1>"
    )
    scrub.learn({"A": [{"Bucket": "prove-0a1b2c-b"}]}, {"A": [{"Bucket": "prove-<run>-b"}]})
    values = ["prove-0a1b2c-b", b"abc", dt.datetime(2026, 1, 2), int(ACCOUNT), 7, None, True]
    recorded = ["prove-<run>-b", "<text-3>", "<text-4>", "<account-1>", 7, None, True]
    assert scrub.scrub({"a": values, "payroll": 1}) == {"<text-2>": recorded, "<text-5>": 1}


def test_only_the_listed_fields_of_an_answer_are_kept() -> None:
    answer = {
        "Steps": [{"Name": "Gate", "Owner": "x"}, {"Name": "Train", "Deep": {"A": 1, "B": 2}}],
        "ResponseMetadata": {"HTTPHeaders": {"x-amzn-requestid": "1"}},
        "Empty": None,
    }
    kept = keep(answer, ["Steps[].Name", "Steps[].Deep.A", "Empty", "Absent.B"])
    assert kept == {"Steps": [{"Name": "Gate"}, {"Name": "Train", "Deep": {"A": 1}}]}
