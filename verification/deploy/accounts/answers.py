"""Answers and refusals in the form that the caller's service speaks."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from verification.deploy.accounts.wire import Wire


class ServiceError(Exception):
    """A service's error: its code and its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response.

    Attributes:
        status: number and reason.
        headers: without the length.
        body: as it is sent.
    """

    status: str = "200 OK"
    headers: Sequence[tuple[str, str]]
    body: bytes


def answer_json(document: Mapping[str, Any]) -> Answer:
    """Returns an answer of a service that speaks JSON."""
    return Answer(
        headers=[("Content-Type", "application/x-amz-json-1.1")],
        body=json.dumps(document).encode(),
    )


def answer_xml(text: str) -> Answer:
    """Returns an answer of a service that speaks XML."""
    return Answer(headers=[("Content-Type", "text/xml")], body=text.encode())


def refuse(wire: Wire, refused: ServiceError) -> Answer:
    """Returns an error: S3's, another one in XML, or one in JSON."""
    code, message = refused.code, str(refused)
    if wire.is_json:
        document = {"__type": code, "message": message}
        headers = [("Content-Type", "application/x-amz-json-1.1"), ("x-amzn-errortype", code)]
        return Answer(status="400 Bad Request", headers=headers, body=json.dumps(document).encode())
    error = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    text = (
        f"<Error>{error}</Error>"
        if wire.service == "s3"
        else f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error>"
        "<RequestId>emulated</RequestId></ErrorResponse>"
    )
    return Answer(
        status="403 Forbidden", headers=[("Content-Type", "text/xml")], body=text.encode()
    )
