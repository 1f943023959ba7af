import re

import pytest
from botocore.stub import Stubber

from sashiko.data.athena_lake import scratch_prefix
from sashiko.errors import InputError
from tests.unit.data.stubs import stubbed

_BELOW = "s3://bucket/training/scratch"


@pytest.fixture
def s3():
    with stubbed("s3") as pair:
        yield pair


def _holds(stub: Stubber, *keys: str) -> None:
    contents = [{"Key": key} for key in keys]
    stub.add_response("list_objects_v2", {"Contents": contents} if keys else {})


def _removes(stub: Stubber, *keys: str, refused: str = "") -> None:
    stub.add_response(
        "delete_objects",
        {"Errors": [{"Key": refused, "Code": "AccessDenied", "Message": "no"}]} if refused else {},
        {"Bucket": "bucket", "Delete": {"Objects": [{"Key": key} for key in keys], "Quiet": True}},
    )


def test_two_attempts_of_one_job_never_share_a_prefix(s3):
    client, stub = s3
    prefixes = []
    for _ in range(2):
        _holds(stub)
        with scratch_prefix(client, below=_BELOW, job="pipelines-abc-Snapshot-1") as uri:
            prefixes.append(uri)
    assert prefixes[0] != prefixes[1]
    assert re.fullmatch(rf"{_BELOW}/pipelines-abc-Snapshot-1-[0-9a-f]{{32}}/", prefixes[0])


@pytest.mark.parametrize("leaves", [None, InputError("query failed"), SystemExit(143)])
def test_what_was_written_is_removed_on_every_exit(leaves, s3):
    client, stub = s3
    _holds(stub, "a/1", "a/2")
    _removes(stub, "a/1", "a/2")
    try:
        with scratch_prefix(client, below=_BELOW, job="job"):
            if leaves:
                raise leaves
    except BaseException as error:
        assert error is leaves
    stub.assert_no_pending_responses()


def test_more_objects_than_one_call_may_name_are_all_removed(s3):
    client, stub = s3
    keys = [f"a/{number:04d}" for number in range(1001)]
    stub.add_response(
        "list_objects_v2",
        {
            "Contents": [{"Key": key} for key in keys[:1000]],
            "IsTruncated": True,
            "NextContinuationToken": "more",
        },
    )
    _holds(stub, keys[1000])
    _removes(stub, *keys[:1000])
    _removes(stub, keys[1000])
    with scratch_prefix(client, below=_BELOW, job="job"):
        pass


def test_an_object_that_stays_is_an_error_that_names_it(s3):
    client, stub = s3
    _holds(stub, "a/1")
    _removes(stub, "a/1", refused="a/1")
    with (
        pytest.raises(InputError, match=r"s3://bucket/a/1: AccessDenied: no; remove it by hand"),
        scratch_prefix(client, below=_BELOW, job="job"),
    ):
        pass


def test_a_removal_that_fails_does_not_hide_the_first_error(s3, capsys):
    client, stub = s3
    stub.add_client_error("list_objects_v2", "AccessDenied", "no")
    with (
        pytest.raises(InputError, match="query failed"),
        scratch_prefix(client, below=_BELOW, job="job"),
    ):
        raise InputError("query failed")
    assert "warning: cannot remove the scratch objects" in capsys.readouterr().err
