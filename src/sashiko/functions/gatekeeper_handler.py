"""The gates of the pipeline: each is a Lambda step, which fails if a verdict stops the run.

A step that fails ends its execution, so what depends on the gate never starts.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from sashiko.evaluation.gates.closed_gate import GateClosedError

_ATTEMPTS: Final = 8  # waits of 20 s at most between them


def handler(event: Mapping[str, str], _context: Any) -> dict[str, Any]:
    """Judges by what lies in S3; the log has in full what SageMaker keeps the beginning of.

    GateClosedError if the gate closes.
    """
    import boto3
    from botocore.config import Config

    # A Lambda step takes no retry policy ("Retry Policy for Pipeline Steps", SageMaker AI Developer
    # Guide), so a read that S3 or KMS throttles has to be repeated here, or the run ends.
    s3 = boto3.client(
        "s3", config=Config(retries={"mode": "standard", "total_max_attempts": _ATTEMPTS})
    )

    def read(uri: str) -> bytes:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())

    try:
        return judge(event, read)
    except GateClosedError as closed:
        print(closed.summary)
        raise


def judge(event: Mapping[str, str], read: Callable[[str], bytes]) -> dict[str, Any]:
    """Lets a run go on only if each verdict or release does, else raises GateClosedError.

    `event` has step -> S3 URI of its `verdict.json`, or of the `release.json` that counts waivers;
    `read` returns an object's content by its URI. KeyError if a file is neither, ValueError if
    there is nothing to judge by.
    """
    if not event:
        raise ValueError("no verdict to judge by: the step has no arguments")
    closing = [summary for uri in event.values() for summary in _closing(json.loads(read(uri)))]
    if closing:
        raise GateClosedError(closing)
    return {"passed": True}


def _closing(record: Mapping[str, Any]) -> Sequence[str]:
    if "released" in record:
        return () if record["released"] is True else tuple(record["summaries"])
    return () if record["passed"] is True else (record["summary"],)
