"""The emulator executes functions, and a custom resource's state follows its answer."""

import io
import json
import zipfile
from typing import Any

import pytest

from verification.deploy.stacks import Stacks, Template, output, resource, role, template

# The beginning of every function here.
_ANSWERING = """
import json, urllib.request

def answer(event, status, name, **data):
    keys = ("StackId", "RequestId", "LogicalResourceId")
    body = {key: event[key] for key in keys}
    body |= {"Status": status, "Reason": "because", "PhysicalResourceId": name, "Data": data}
    put = urllib.request.Request(event["ResponseURL"], json.dumps(body).encode(), method="PUT")
    urllib.request.urlopen(put)
"""
# Its physical id is its property `Name`; it records its requests in S3.
_NAMED = (
    _ANSWERING
    + """
import boto3

def handler(event, context):
    name = event["ResourceProperties"]["Name"]
    s3 = boto3.client("s3")
    number = s3.list_objects_v2(Bucket="notes")["KeyCount"]
    line = [event["RequestType"], event.get("PhysicalResourceId"), name]
    s3.put_object(Bucket="notes", Key=f"{number:04}", Body=json.dumps(line))
    status = "FAILED" if name == "bad" and event["RequestType"] != "Delete" else "SUCCESS"
    answer(event, status, event["PhysicalResourceId"] if event["RequestType"] == "Delete" else name,
           Upper=name.upper(), Flag=str(type(event["ResourceProperties"]["Flag"])))
"""
)


@pytest.fixture(autouse=True)
def store(emulator: Any) -> Any:
    """A bucket for notes, and one for code."""
    s3 = emulator.client("s3")
    for bucket in ("notes", "code"):
        s3.create_bucket(Bucket=bucket)
        for item in s3.list_objects_v2(Bucket=bucket).get("Contents", ()):
            s3.delete_object(Bucket=bucket, Key=item["Key"])
    return s3


def put_code(s3: Any, text: str, key: str = "code.zip") -> str:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("it.py", text)
    s3.put_object(Bucket="code", Key=key, Body=file.getvalue())
    return key


def function(key: str = "code.zip", **more: Any) -> Template:
    properties = {
        "FunctionName": "it",
        "Runtime": "python3.12",
        "Handler": "it.handler",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "Code": {"S3Bucket": "code", "S3Key": key},
        "Timeout": 30,
        **more,
    }
    return resource("Function", "AWS::Lambda::Function", properties)


def custom(name: str, **more: Any) -> Template:
    properties = {"ServiceToken": {"Fn::GetAtt": ["Function", "Arn"]}, "Name": name, "Flag": True}
    return resource("Named", "Custom::Named", properties | more)


def full_template(name: str, **more: Any) -> Template:
    outputs = {
        "Id": output({"Ref": "Named"}),
        "Upper": output({"Fn::GetAtt": ["Named", "Upper"]}),
        "Flag": output({"Fn::GetAtt": ["Named", "Flag"]}),
    }
    return template(role("calls"), function(), custom(name), Outputs=outputs, **more)


def notes(s3: Any) -> list[list[str | None]]:
    objects = s3.list_objects_v2(Bucket="notes").get("Contents", ())
    bodies = [s3.get_object(Bucket="notes", Key=item["Key"])["Body"].read() for item in objects]
    return [json.loads(body) for body in bodies]


def test_a_custom_resource_is_what_its_function_answers(stacks: Stacks, store: Any) -> None:
    put_code(store, _NAMED)

    assert stacks.deploy("named", full_template("one")) == "CREATE_COMPLETE", stacks.failure(
        "named"
    )
    outputs = stacks.outputs("named")
    # Every property that is not a string is passed as one.
    assert outputs == {"Id": "one", "Upper": "ONE", "Flag": "<class 'str'>"}

    assert stacks.deploy("named", full_template("two")) == "UPDATE_COMPLETE"
    assert stacks.outputs("named")["Id"] == "two"
    assert stacks.delete("named") == "DELETE_COMPLETE"
    # Another name is another resource: the old one is deleted after the update.
    assert notes(store) == [
        ["Create", None, "one"],
        ["Update", "one", "two"],
        ["Delete", "one", "one"],
        ["Delete", "two", "two"],
    ]


def test_a_failed_update_asks_for_the_old_state(stacks: Stacks, store: Any) -> None:
    put_code(store, _NAMED)
    stacks.deploy("back", full_template("one"))

    assert stacks.deploy("back", full_template("bad")) == "UPDATE_ROLLBACK_COMPLETE"

    assert "Received response status [FAILED] from custom resource. because" in stacks.failure(
        "back"
    )
    assert stacks.outputs("back")["Id"] == "one"
    assert notes(store)[1:] == [["Update", "one", "bad"], ["Update", "one", "one"]]
    stacks.delete("back")


def test_a_failed_creation_is_deleted_by_the_name_that_it_answered(
    stacks: Stacks, store: Any
) -> None:
    put_code(store, _NAMED)

    assert stacks.deploy("bad", full_template("bad")) == "ROLLBACK_COMPLETE"

    assert notes(store) == [["Create", None, "bad"], ["Delete", "bad", "bad"]]
    stacks.delete("bad")


@pytest.mark.parametrize(
    ("code", "more", "reason"),
    [
        ("def handler(event, context):\n    pass", {}, "the function ended without an error"),
        ("def handler(event, context):\n    raise KeyError('x')", {}, "KeyError: 'x'"),
        ("import time\ndef handler(event, context):\n    time.sleep(60)", {"Timeout": 1}, "Task "),
        ("import no_such_package", {}, "No module named 'no_such_package'"),
        (
            _ANSWERING + "def handler(event, context):\n    answer(event, 'SUCCESS', '')",
            {},
            "Invalid response: PhysicalResourceId is missing or empty",
        ),
    ],
)
def test_a_function_that_does_not_answer_fails_the_stack_and_is_quoted(
    stacks: Stacks, store: Any, code: str, more: dict[str, Any], reason: str
) -> None:
    put_code(store, code)
    body = template(role("calls"), function(**more), custom("one"))

    assert stacks.deploy("silent", body) == "ROLLBACK_COMPLETE"

    assert reason in stacks.failure("silent")
    stacks.delete("silent")


def test_new_code_is_what_runs_next(stacks: Stacks, store: Any) -> None:
    put_code(store, "def handler(event, context):\n    return 1", "one.zip")
    put_code(store, "def handler(event, context):\n    return event['n'] + 1", "two.zip")
    stacks.deploy("code", template(role("calls"), function("one.zip")))
    status = stacks.deploy("code", template(role("calls"), function("two.zip", MemorySize=256)))

    assert status == "UPDATE_COMPLETE", stacks.failure("code")
    response = stacks.emulator.client("lambda").invoke(FunctionName="it", Payload=b'{"n": 4}')
    assert json.loads(response["Payload"].read()) == 5
    configuration = stacks.emulator.client("lambda").get_function_configuration(FunctionName="it")
    assert configuration["MemorySize"] == 256
    stacks.delete("code")


def test_a_function_of_the_same_name_is_in_the_way(stacks: Stacks, store: Any) -> None:
    put_code(store, "def handler(event, context):\n    pass")
    stacks.deploy("first", template(role("calls"), function()))
    duplicate = function(Role=f"arn:aws:iam::{stacks.emulator.account}:role/calls")

    assert stacks.deploy("second", template(duplicate)) == "ROLLBACK_COMPLETE"

    assert "already exist" in stacks.failure("second")
    stacks.delete("first")
    stacks.delete("second")


def test_the_service_token_stays(stacks: Stacks, store: Any) -> None:
    put_code(store, _NAMED)
    stacks.deploy("token", full_template("one"))
    other = custom("one", ServiceToken="arn:aws:lambda:us-east-1:111122223333:function:other")

    status = stacks.deploy("token", template(role("calls"), function(), other))

    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert "Modifying service token is not allowed" in stacks.failure("token")
    stacks.delete("token")
