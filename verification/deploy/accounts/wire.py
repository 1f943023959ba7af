"""A request as it came over the wire, with what its form says of caller and operation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs


@dataclass(frozen=True, kw_only=True)
class Wire:
    """A request.

    Attributes:
        method: of HTTP.
        target: path and query, as they were sent.
        headers: as they were sent.
        body: as it was sent.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def key(self) -> str:
        """The caller's access key: AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/..."""
        return self._scope[0].rpartition("=")[2]

    @property
    def service(self) -> str:
        """The service's signing name."""
        return self._scope[3] if len(self._scope) == 5 else ""

    @property
    def _scope(self) -> list[str]:
        return self.header("authorization").partition(",")[0].split("/")

    @property
    def token(self) -> str:
        """The session's token."""
        return self.header("x-amz-security-token")

    @property
    def is_json(self) -> bool:
        """Whether the service speaks JSON."""
        return bool(self.header("x-amz-target"))

    @property
    def action(self) -> str:
        """`service:Operation`; of REST, whose operation is not read, `service:`."""
        if self.is_json:
            return f"{self.service}:{self.header('x-amz-target').rpartition('.')[2]}"
        return f"{self.service}:{self.form.get('Action', '')}"

    @cached_property
    def form(self) -> Mapping[str, str]:
        """The arguments of a service that takes a form, such as STS; of another, none."""
        if self.header("content-type").partition(";")[0] != "application/x-www-form-urlencoded":
            return {}
        return {key: values[0] for key, values in parse_qs(self.body.decode()).items()}

    @cached_property
    def document(self) -> Mapping[str, Any]:
        """The arguments of a service that speaks JSON; of another, none."""
        return json.loads(self.body or b"{}") if self.is_json else {}

    def header(self, name: str) -> str:
        """Returns a header's value, empty if it was not sent."""
        return next((value for key, value in self.headers if key.lower() == name), "")


def read_wire(environ: dict[str, Any]) -> Wire:
    """Reads a request from a server's environment."""
    given = {
        key.removeprefix("HTTP_").replace("_", "-").lower(): value
        for key, value in environ.items()
        if key.startswith("HTTP_") and isinstance(value, str)
    }
    if content := environ.get("CONTENT_TYPE"):
        given["content-type"] = content
    length = environ.get("CONTENT_LENGTH")
    stream = environ["wsgi.input"]
    # A chunked body has no length, and the server ends its stream.
    ended = environ.get("wsgi.input_terminated")
    body = stream.read(int(length)) if length else (stream.read() if ended else b"")
    dropped = {"connection", "transfer-encoding", "content-length", "expect"}
    return Wire(
        method=environ["REQUEST_METHOD"],
        target=environ.get("RAW_URI") or environ["REQUEST_URI"],
        headers=tuple((key, value) for key, value in given.items() if key not in dropped),
        body=body,
    )
