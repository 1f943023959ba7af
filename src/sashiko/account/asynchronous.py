"""Requests and answers of an endpoint that sleeps, for a person: ask and wait, delete by key."""

import datetime as dt
import json
import sys
import time
from collections.abc import Collection, Iterator
from typing import Any, Final

from sashiko.account.account import Account
from sashiko.account.endpoint_spec import endpoint_name
from sashiko.account.names import Role, bucket_name
from sashiko.base.async_requests import input_folder, request_name
from sashiko.errors import InputError
from sashiko.settings.environment import Settings, file_of
from sashiko.settings.recipe import Recipe

_CALLER: Final[Role] = "endpoint-caller"
_JSON: Final = "application/json"
_POLL_SECONDS: Final = 2


def ask(settings: Settings, recipe: Recipe, body: bytes, *, within: int) -> str:
    """Sends a request to an endpoint that sleeps, and waits for its answer.

    `within` are seconds, after which SageMaker lets the request expire.

    Raises:
        InputError: if the endpoint is not asynchronous, or the caller may not do so; if the request
            failed, or was not answered in time.
    """
    if not settings.serving.sleeps:
        raise InputError(
            f"{file_of('serving', settings.environment)}: key `serving.mode`: real-time; this asks "
            "endpoints of mode `asynchronous`: others answer InvokeEndpoint of your own role"
        )
    account, endpoint = Account(settings), endpoint_name(settings, recipe)
    bucket, name = bucket_name(settings, "capture"), request_name(dt.datetime.now(dt.UTC))
    key = f"{input_folder(endpoint)}{name}.json"
    with account.translate_errors(f"s3:PutObject of {key}", role=_CALLER):
        account.client("s3").put_object(
            Bucket=bucket, Key=key, Body=body, ExpectedBucketOwner=account.number
        )
    with account.translate_errors("sagemaker:InvokeEndpointAsync", role=_CALLER):
        response = account.client("sagemaker-runtime").invoke_endpoint_async(
            EndpointName=endpoint,
            InputLocation=f"s3://{bucket}/{key}",
            ContentType=_JSON,
            Accept=_JSON,
            InferenceId=name,
            Filename=f"{name}.out",
            RequestTTLSeconds=within,
        )
    print(f"request {name} is queued; the endpoint may have to wake", file=sys.stderr)
    end = time.monotonic() + within
    while time.monotonic() < end:
        if (answer := _object(account, response["OutputLocation"], role=_CALLER)) is not None:
            return answer
        if (reason := _object(account, response["FailureLocation"], role=_CALLER)) is not None:
            raise InputError(f"request {name} failed: {reason}")
        time.sleep(_POLL_SECONDS)
    raise InputError(
        f"request {name} was not answered within {within} seconds, and expires: see the alarms "
        "`wake` and `backlog-age` of the endpoint"
    )


def delete_requests(
    account: Account, settings: Settings, recipe: Recipe, keys: Collection[str], *, role: Role
) -> int:
    """Deletes each request that has a row of a key, and its answers, of all versions.

    A request is deleted whole, with its other rows. Noncurrent versions go a day later, by the
    bucket's rule.

    Returns:
        How many requests there were.

    Raises:
        InputError: if the caller may not do so.
    """
    bucket, endpoint = bucket_name(settings, "capture"), endpoint_name(settings, recipe)
    below = input_folder(endpoint)
    names = {
        key.removeprefix(below).removesuffix(".json")
        for key in _listed(account, bucket, below, role=role)
        if _has_key(_object(account, f"s3://{bucket}/{key}", role=role), keys)
    }
    # Last the requests: until then the command can be repeated.
    answers = _listed(account, bucket, f"{endpoint}/version=", role=role) if names else ()
    doomed = [key for key in answers if any(name in key.rpartition("/")[2] for name in names)]
    for key in [*doomed, *(f"{below}{name}.json" for name in sorted(names))]:
        with account.translate_errors(f"s3:DeleteObject of {key}", role=role):
            account.client("s3").delete_object(
                Bucket=bucket, Key=key, ExpectedBucketOwner=account.number
            )
    return len(names)


def _listed(account: Account, bucket: str, prefix: str, *, role: Role) -> Iterator[str]:
    with account.translate_errors(f"s3:ListBucket of {bucket}", role=role):
        pages = account.client("s3").get_paginator("list_objects_v2")
        for page in pages.paginate(
            Bucket=bucket, Prefix=prefix, ExpectedBucketOwner=account.number
        ):
            yield from (item["Key"] for item in page.get("Contents", ()))


def _object(account: Account, uri: str, *, role: Role) -> str | None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    response: Any = account.read(
        "s3", "get_object", absent=("NoSuchKey",), role=role, Bucket=bucket, Key=key,
        ExpectedBucketOwner=account.number,
    )  # fmt: skip
    return None if response is None else response["Body"].read().decode(errors="replace")


def _has_key(body: str | None, keys: Collection[str]) -> bool:
    try:
        ids = json.loads(body or "{}")["ids"]
        return not set(map(str, ids)).isdisjoint(keys)
    except (KeyError, TypeError, ValueError):
        return False
