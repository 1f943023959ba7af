"""The gates of the pipeline: each is a Lambda step, which fails if a verdict stops the run.

A step that fails ends its execution, so what depends on the gate never starts.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final

from sashiko.evaluation.gates.closed_gate import WAIVERS, GateClosedError

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
    """Lets a run go on only if each verdict does, else raises GateClosedError.

    A verdict with failed checks does, if each of them has a waiver that is valid today (in UTC).

    `event` has step -> S3 URI of its `verdict.json`; where the recipe may waive checks also
    `waivers`, the waivers as a JSON list. `read` returns an object's content by its URI. KeyError
    if a file is no verdict, ValueError if there is nothing to judge by.
    """
    waivers = json.loads(event.get(WAIVERS, "[]"))
    uris = [uri for name, uri in event.items() if name != WAIVERS]
    if not uris:
        raise ValueError("no verdict to judge by: the step has no arguments")
    today = datetime.now(UTC).date().isoformat()
    closing = [line for uri in uris for line in _closing(json.loads(read(uri)), waivers, today)]
    if closing:
        raise GateClosedError(closing)
    return {"passed": True}


def _closing(
    verdict: Mapping[str, Any], waivers: Sequence[Mapping[str, str]], today: str
) -> Sequence[str]:
    """Returns the summary of a verdict that closes the gate, and what became of its waivers."""
    if verdict["passed"] is True:
        return ()
    failed = [check["name"] for check in verdict.get("checks", ()) if check["passed"] is not True]
    latest: dict[str, Mapping[str, str]] = {}  # of each failed check
    for waiver in sorted(waivers, key=lambda item: item["expires"]):
        if waiver["check"] in failed:
            latest[waiver["check"]] = waiver
    valid = {name for name, waiver in latest.items() if waiver["expires"] >= today}
    if failed and valid.issuperset(failed):
        return ()
    notes = [
        f"{name}: waived by {waiver['owner']} until {waiver['expires']}"
        if name in valid
        else f"{name}: the waiver of {waiver['owner']} expired on {waiver['expires']}"
        for name, waiver in latest.items()
    ]
    for waiver in waivers:
        if waiver["check"] not in failed:
            names = get_close_matches(waiver["check"], set(failed) - valid, n=1)
            notes += [f"{name}: the waiver of `{waiver['check']}` is for another" for name in names]
    return ("\n- ".join((verdict["summary"], *notes)),)
