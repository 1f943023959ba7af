"""Requests, answers and refusals as they go over the wire, and the credentials of roles.

The credentials end, and nothing else is accepted from a caller.
"""

import datetime as dt
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

import urllib3


@dataclass(frozen=True, kw_only=True)
class Wire:
    """A request, as it was sent."""

    method: str
    target: str  # path and query
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def key(self) -> str:
        """The caller's access key: AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/..."""
        return self._scope[0].rpartition("=")[2]

    @property
    def service(self) -> str:
        return self._scope[3] if len(self._scope) == 5 else ""

    @property
    def _scope(self) -> list[str]:
        return self.header("authorization").partition(",")[0].split("/")

    @property
    def token(self) -> str:
        return self.header("x-amz-security-token")

    @property
    def is_json(self) -> bool:
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


class ServiceError(Exception):
    """A service's error: its code and its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A response."""

    status: str = "200 OK"
    headers: Sequence[tuple[str, str]]  # without the length
    body: bytes


def answer_json(document: Mapping[str, Any]) -> Answer:
    return Answer(
        headers=[("Content-Type", "application/x-amz-json-1.1")], body=json.dumps(document).encode()
    )


def answer_xml(text: str) -> Answer:
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


# Of this connection, and not of the next one.
_OWN = {"connection", "keep-alive", "transfer-encoding", "content-length", "date", "server"}


def forward(wire: Wire, url: str, pool: urllib3.PoolManager) -> Answer:
    response = pool.request(
        wire.method,
        f"{url}{wire.target}",
        body=wire.body,
        headers=dict(wire.headers),
        redirect=False,
        decode_content=False,
        preload_content=False,
    )
    body = response.read(decode_content=False)
    headers = [(key, value) for key, value in response.headers.items() if key.lower() not in _OWN]
    if wire.method == "HEAD" and "content-length" in response.headers:
        headers.append(("Content-Length", response.headers["content-length"]))
    return Answer(status=f"{response.status} {response.reason}", headers=headers, body=body)


HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Session:
    """A role that somebody acts as, for a while."""

    role: str  # its ARN
    name: str  # who acts
    key: str
    secret: str
    token: str
    expires: dt.datetime

    @property
    def account(self) -> str:
        return self.role.split(":")[4]

    @property
    def arn(self) -> str:
        role = self.role.rpartition("/")[2]
        return f"arn:aws:sts::{self.account}:assumed-role/{role}/{self.name}"

    def variables(self) -> Mapping[str, str]:
        return credential_variables(self.key, self.secret, self.token)

    def document(self) -> Mapping[str, str]:
        return {
            "AccessKeyId": self.key,
            "SecretAccessKey": self.secret,
            "Token": self.token,
            "Expiration": self._until,
        }

    @property
    def _until(self) -> str:
        return f"{self.expires:%Y-%m-%dT%H:%M:%SZ}"

    def assumed(self) -> str:
        keys = {
            "AccessKeyId": self.key,
            "SecretAccessKey": self.secret,
            "SessionToken": self.token,
            "Expiration": self._until,
        }
        credentials = "".join(f"<{name}>{value}</{name}>" for name, value in keys.items())
        return sts_answer(
            "AssumeRole",
            f"<Credentials>{credentials}</Credentials><AssumedRoleUser>"
            f"<AssumedRoleId>{self._id}</AssumedRoleId><Arn>{escape(self.arn)}</Arn>"
            "</AssumedRoleUser>",
        )

    def identity(self) -> str:
        return sts_answer(
            "GetCallerIdentity",
            f"<Arn>{escape(self.arn)}</Arn><UserId>{self._id}</UserId>"
            f"<Account>{self.account}</Account>",
        )

    @property
    def _id(self) -> str:
        return f"AROA{self.key[4:]}:{escape(self.name)}"


def credential_variables(key: str, secret: str, token: str) -> Mapping[str, str]:
    """Returns the variables in which AWS's tools look for credentials."""
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}


def new_session(role: str, name: str, *, now: dt.datetime) -> Session:
    return Session(
        role=role,
        name=name,
        key=f"ASIA{secrets.token_hex(8).upper()}",
        secret=secrets.token_hex(20),
        token=secrets.token_hex(32),
        expires=now + HOUR,
    )


def sts_answer(operation: str, result: str) -> str:
    return (
        f'<{operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<{operation}Result>{result}</{operation}Result>"
        f"<ResponseMetadata><RequestId>emulated</RequestId></ResponseMetadata>"
        f"</{operation}Response>"
    )
