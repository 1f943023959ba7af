"""Several accounts at one address, as AWS's: a request goes where its credentials belong.

Each account is a process of the emulator that knows no other one and asks for no credentials. This
front does: it takes those of a role's session alone, which end, and answers STS itself. What
crosses from one account into another is decided by the policies of both sides (`roles`). Within an
account nothing is enforced but what a handler decides (verification/README.md).
"""

import datetime as dt
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import urllib3
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import make_server

from sashiko.account.access.environment_access import Principal
from verification.deploy.accounts import policies, sessions
from verification.deploy.accounts.sessions import HOUR, Answer, ServiceError, Session, Wire
from verification.deploy.process import Emulator

# What the caller asks, and who it is.
Handler = Callable[[Session, Mapping[str, Any]], Mapping[str, Any]]
Watch = Callable[[Session, Wire], None]
_CREDENTIALS = "/credentials/"
_STS_MEMBERS = {"Action", "Version", "RoleArn", "RoleSessionName", "DurationSeconds"}


@dataclass(frozen=True, kw_only=True)
class Served:
    """An operation that a test answers itself."""

    handler: Handler  # answers, or raises `ServiceError`
    resource: Callable[[Mapping[str, Any]], str]  # the ARN that the caller needs the action on


class Organization:
    """The accounts, the sessions of their roles, and the address of all.

    Attributes:
        url: the address, on loopback.
        served: the operations that a test answers itself, by account and `service:Operation`.
        watch: sees each request before it is answered.
        messages: what was published, as topic and message.
    """

    def __init__(self, accounts: Iterable[Emulator]) -> None:
        self._accounts = {account.account: account for account in accounts}
        self._sessions: dict[str, Session] = {}
        self._buckets: dict[str, str] = {}
        self._pool = urllib3.PoolManager(maxsize=16, retries=False, timeout=600)
        self._lock = threading.Lock()
        self.url = ""
        self.served: dict[tuple[str, str], Served] = {}
        self.watch: Watch = lambda *_: None
        self.messages: list[tuple[str, str]] = []

    def person(self, account: Emulator, role: str, name: str) -> Emulator:
        """Returns an account as somebody sees it who has signed in to a role, by its ARN.

        Whom IAM Identity Center gives which role is its own matter; here the test says it.
        """
        session = self._open(role, name)
        return replace(account, url=self.url, credentials=session.variables())

    def service(self, service: str, role: str, *, source: str) -> Session:
        """Returns a session of a role for a service of AWS, if the role lets it in.

        Raises:
            ServiceError: if it does not.
        """
        principal = self._role(role)
        if principal is None or not policies.serves(principal, f"{service}.amazonaws.com", source):
            raise ServiceError(
                "AccessDenied", f"{service} is not authorized to perform AssumeRole on role {role}"
            )
        return self._open(role, source.rpartition("/")[2])

    def may(self, role: str, action: str, resource: str, **context: str) -> bool:
        """Whether a role's own policies and boundary allow an action in its account."""
        principal = self._role(role)
        owner = role.split(":")[4]
        call = policies.Call(action=action, resource=resource, owner=owner, context=context)
        return principal is not None and policies.may(principal, call)

    def container(self, session: Session) -> str:
        """Returns the address where a container finds the credentials of its session."""
        return f"{self.url}{_CREDENTIALS}{session.key}"

    def end(self, session: Session) -> None:
        past = dt.datetime.now(dt.UTC) - HOUR
        self._sessions[session.key] = replace(session, expires=past)

    def _open(self, role: str, name: str) -> Session:
        if self._role(role) is None:
            raise ServiceError("AccessDenied", f"there is no role {role}")
        session = sessions.new_session(role, name, now=dt.datetime.now(dt.UTC))
        self._sessions[session.key] = session
        return session

    def _role(self, arn: str) -> Principal | None:
        account = self._accounts.get(arn.split(":")[4])
        return policies.read_role(account, arn) if account else None

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
        wire = sessions.read_wire(environ)
        try:
            answer = self._answer(wire)
        except ServiceError as error:
            answer = sessions.refuse(wire, error)
        start(answer.status, list(answer.headers))
        return [answer.body]

    def _answer(self, wire: Wire) -> Answer:
        if wire.path.startswith(_CREDENTIALS):
            key = wire.path.removeprefix(_CREDENTIALS)
            return sessions.answer_json(self._sessions[key].document())
        session = self._caller(wire)
        self.watch(session, wire)
        if wire.service == "sts":
            return self._answer_sts(session, wire.form)
        served = self.served.get((session.account, wire.action))
        if served:
            return self._serve(served, session, wire)
        owner = policies.owner_of(wire, session.account, self._accounts, self._buckets)
        if owner != session.account:
            caller = self._role(session.role)
            assert caller is not None
            policies.refuse_crossing(wire, caller, session, self._accounts[owner])
        if wire.service == "sns" and wire.form.get("Action") == "Publish":
            self.messages.append((wire.form["TopicArn"], wire.form["Message"]))
        return sessions.forward(wire, self._accounts[owner].url, self._pool)

    def _caller(self, wire: Wire) -> Session:
        session = self._sessions.get(wire.key)
        if session is None or wire.token != session.token:
            raise ServiceError(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            )
        if session.expires < dt.datetime.now(dt.UTC):
            raise ServiceError(
                "ExpiredToken", "The security token included in the request is expired"
            )
        return session

    def _serve(self, served: Served, session: Session, wire: Wire) -> Answer:
        resource = served.resource(wire.document)
        if not self.may(session.role, wire.action, resource):
            raise ServiceError(
                "AccessDeniedException",
                f"User: {session.arn} is not authorized to perform: {wire.action} on resource: "
                f"{resource}",
            )
        with self._lock:
            return sessions.answer_json(served.handler(session, wire.document))

    def _answer_sts(self, session: Session, form: Mapping[str, str]) -> Answer:
        """Answers GetCallerIdentity and AssumeRole; refuses what it does not know."""
        if form["Action"] == "GetCallerIdentity":
            return sessions.answer_xml(session.identity())
        if form["Action"] != "AssumeRole" or form.keys() - _STS_MEMBERS:
            unknown = ", ".join(form.keys() - _STS_MEMBERS)
            raise ServiceError(
                "ValidationError", f"the emulator knows no {form['Action']} with {unknown}"
            )
        # "Role chaining", IAM User Guide: every caller here acts as a role already.
        if int(form.get("DurationSeconds", "3600")) > HOUR.total_seconds():
            raise ServiceError(
                "ValidationError",
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed "
                "by role chaining",
            )
        caller, target = self._role(session.role), self._role(form["RoleArn"])
        if caller is None or target is None or not policies.may_assume(caller, target):
            raise ServiceError(
                "AccessDenied",
                f"User: {session.arn} is not authorized to perform: sts:AssumeRole on resource: "
                f"{form['RoleArn']}",
            )
        return sessions.answer_xml(self._open(target.arn, form["RoleSessionName"]).assumed())


@contextmanager
def running(accounts: Iterable[Emulator]) -> Iterator[Organization]:
    organization = Organization(accounts)
    server = make_server("127.0.0.1", 0, organization, threaded=True, request_handler=_Quiet)
    organization.url = f"http://127.0.0.1:{server.port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield organization
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(MotoRequestHandler):
    def log_request(self, *arguments: object, **more: object) -> None:
        pass
