"""What is the account's own is in no record, however it is written."""

import base64
import datetime as dt
import gzip
import json
from urllib.parse import quote

import pytest

from sashiko_packs.operations.proofs.scrub import Scrubber

ACCOUNT = "987654321098"
NAMES = ("alice.example", "Acme-Sandbox", "ada")  # the last one is too short to be looked for
# What must not be seen -> texts in which services say it.
PLANTED = {
    "account": [
        ACCOUNT, "9876-5432-1098", f"arn:aws:iam::{ACCOUNT}:role/Admin",
        f"{ACCOUNT}.dkr.ecr.us-east-1.amazonaws.com/repo:1", f"https://sqs.us-east-1/{ACCOUNT}/q",
    ],
    "another account": ["123456789012", "arn:aws:s3:us-west-2:123456789012:accesspoint/p"],
    "access key": [
        "AKIAI44QH8DHB9018XYZ", "ASIAIOSFODNN7EXAMPLE", "AROADBQP57FF2AEXAMPLE:alice.example",
    ],
    "secret": ["wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzEBYaDHqa0AP1Ui7" * 5],
    "email": ["ada.lovelace@example.com", "mailto:bob+x@mail.corp.example.co.uk"],
    "address": [
        "10.12.13.14", "52.94.133.131", "10.12.0.0/16", "ip-10-12-13-14.ec2.internal",
        "2600:1f18:6f2a:2800:aaaa:bbbb:cccc:dddd", "2600:1f18:6f2a::1", "fd00:ec2::23",
        "ec2-52-94-133-131.compute-1.amazonaws.com",
        "vpce-0123456789abcdef0-h3x7k2p1.sts.us-east-1.vpce.amazonaws.com",
    ],
    "name": ["alice.example", "ALICE.EXAMPLE", "arn:aws:iam::aws:user/acme-sandbox/x"],
    "id": [
        "1234abcd-12ab-34cd-56ef-1234567890ab", "vpc-0123456789abcdef0", "eni-0a1b2c3d",
        "d41d8cd98f00b204e9800998ecf8427e", "subnet-0123456789abcdef0", "ami-0123456789abcdef0",
    ],
    "resource": [
        "arn:aws:s3:::payroll-of-acme/2026/rows.csv", "s3://payroll-of-acme/rows.csv",
        f"arn:aws:glue:us-east-1:{ACCOUNT}:table/payroll-of-acme/rows", "arn:aws:ram:::z/payroll",
    ],
    "signed URL": [
        "https://bucket.s3.amazonaws.com/k?X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261201"
        "&X-Amz-Signature=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024",
    ],
}  # fmt: skip
TEXTS = [text for texts in PLANTED.values() for text in texts]
WRITTEN = {
    "plain": lambda text: text,
    "message": lambda text: f"User: {text} is not authorized to perform: kms:Sign on {text}.",
    "quoted": lambda text: json.dumps({"Message": f"denied for '{text}'", "Key": text}),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "URL base64": lambda text: base64.urlsafe_b64encode(f"by>>>??? {text}".encode()).decode(),
    "twice": lambda text: base64.b64encode(base64.b64encode(f"see {text}!".encode())).decode(),
    "URL": lambda text: f"https://console.aws.amazon.com/x?y={quote(text, safe='')}",
    "URL twice": lambda text: quote(quote(f"a/{text}", safe=""), safe=""),
    "zipped": lambda text: base64.b64encode(gzip.compress(text.encode())).decode(),
}
SECRETS = (
    ACCOUNT, "9876-5432-1098", "123456789012", "IOSFODNN7", "I44QH8", "fd00:", "bPxRfiCY",
    "bob+x", "10.12.", "52.94", "10-12-13", "52-94", "2600:1f18", "vpce-0123", "alice.example",
    "acme-sandbox", "1234abcd", "0123456789abcdef0", "eni-0a1b", "d41d8cd98f00b204", "payroll",
    "fe5f80f7", "lovelace", "FwoGZXIv",
)  # fmt: skip


def scrubber() -> Scrubber:
    return Scrubber(account=ACCOUNT, prefix="prove-", names=NAMES)


@pytest.mark.parametrize("way", WRITTEN)
@pytest.mark.parametrize("text", TEXTS)
def test_what_is_planted_is_not_seen(text: str, way: str) -> None:
    written = WRITTEN[way](text)
    scrubbed = scrubber().text(written)
    assert written not in scrubbed
    assert not [secret for secret in SECRETS if secret.lower() in scrubbed.lower()]
    assert scrubber().text(scrubbed) == scrubbed  # a record is looked through once more


@pytest.mark.parametrize("text", [
    "An error occurred: The role defined for the function cannot be assumed by Lambda.",
    "ResourceNotFoundException", "arn:aws:iam::aws:policy/AmazonSageMakerFullAccess",
    "prove-0a1b2c-endpoint", "10.77.0.0/24", "s3://prove-0a1b2c-bucket/out/algo-1",
    "hosts=['algo-1'] internet=False", "at 12:30:45", "HIVE_PATH_ALREADY_EXISTS: line 1:8",
    "arn:aws:iam::<account-1>:root", "Mozilla/5.0 botocore/1.44.8", "com.amazonaws.us-east-1.s3",
])  # fmt: skip
def test_what_a_verdict_needs_stays(text: str) -> None:
    assert scrubber().text(text) == text


def test_a_value_has_one_placeholder_in_requests_answers_and_errors() -> None:
    scrub, arn = (
        scrubber(),
        f"arn:aws:kms:us-east-1:{ACCOUNT}:key/1234abcd-12ab-34cd-56ef-1234567890ab",
    )
    key = scrub.answer({"KeyMetadata": {"Arn": arn, "AWSAccountId": ACCOUNT}}, ["KeyMetadata.Arn"])
    assert key == {"KeyMetadata": {"Arn": "arn:aws:kms:us-east-1:<account-1>:key/<id-1>"}}
    assert scrub.scrub({"KeyId": arn[-36:], "Signature": b"abc"}) == {
        "KeyId": "<id-1>",
        "Signature": "<bytes-1>",
    }
    assert scrub.scrub(["sg-0a1b2c3d", b"abc", dt.datetime(2026, 1, 2), int(ACCOUNT), 7, None]) == [
        "<net-1>", "<bytes-1>", "<time>", "<account-1>", 7, None,
    ]  # fmt: skip
    assert scrub.text("no key 1234abcd-12ab-34cd-56ef-1234567890ab, sg-0a1b2c3e") == (
        "no key <id-1>, <net-2>"
    )


def test_only_the_listed_fields_of_an_answer_are_kept() -> None:
    answer = {
        "Steps": [{"Name": "Gate", "Owner": "x"}, {"Name": "Train", "Deep": {"A": 1, "B": 2}}],
        "ResponseMetadata": {"HTTPHeaders": {"x-amzn-requestid": "1"}},
        "Empty": None,
    }
    kept = scrubber().answer(answer, ["Steps[].Name", "Steps[].Deep.A", "Empty", "Absent.B"])
    assert kept == {"Steps": [{"Name": "Gate"}, {"Name": "Train", "Deep": {"A": 1}}]}
    assert scrubber().answer(answer, ()) == {}
    named = Scrubber(account=ACCOUNT, prefix="prove-", names=["Role"])
    assert named.scrub({"RoleName": "by role/x"}) == {"RoleName": "by <name-1>/x"}
