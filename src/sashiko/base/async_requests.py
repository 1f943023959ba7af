"""Where the requests and answers of an asynchronous endpoint are, and how their objects are named.

A request is an object below `<endpoint>/input/` of the capture bucket, `<name>.json`; SageMaker
writes its answer as `<endpoint>/version=<n>/output/<name>.out`, and an error below `failure/`
beside it. A name begins with the time of the request, since a job's copy of an object has another.
The answer's name is the request's as the caller passes it as `InferenceId` and `Filename`
(InvokeEndpointAsync, Amazon SageMaker Runtime API).
"""

import datetime as dt
import re
import secrets
from typing import Final

INPUT: Final = "input"
OUTPUT: Final = "output"
FAILURE: Final = "failure"
# Begins the ids of requests that an update sends again. They are nobody's requests.
JUDGED: Final = "judge-"
SHORTEST_TTL: Final = 60  # seconds; `RequestTTLSeconds` of InvokeEndpointAsync
LONGEST_TTL: Final = 6 * 3600
_TIME: Final = "%Y%m%dT%H%M%S"
_NAME: Final = re.compile(r"(?P<time>\d{8}T\d{6})-[0-9a-f]{12}")


def request_name(now: dt.datetime) -> str:
    """Returns a new name, 28 characters: with a suffix it fits `Filename`, which takes 32."""
    return f"{now.astimezone(dt.UTC):{_TIME}}-{secrets.token_hex(6)}"


def request_time(name: str) -> dt.datetime | None:
    """Returns the time of a request, in UTC; None if it is no name of `request_name`."""
    match = _NAME.fullmatch(name)
    try:
        return match and dt.datetime.strptime(f"{match['time']}+0000", f"{_TIME}%z")
    except ValueError:
        return None


def input_folder(endpoint: str) -> str:
    """Returns the keys' prefix of an endpoint's requests, with a slash at its end."""
    return f"{endpoint}/{INPUT}/"


def version_folder(endpoint: str, version: int | str) -> str:
    """Returns the keys' prefix of what a version answered, with a slash at its end."""
    return f"{endpoint}/version={version}/"
