"""STS: who the caller is, and which role it gets, by the policies of both sides."""

from collections.abc import Callable

from sashiko.account.access.environment_access import Principal
from verification.deploy.accounts.policies import may_assume
from verification.deploy.accounts.sessions import (
    HOUR,
    Answer,
    ServiceError,
    Session,
    Wire,
    answer_xml,
)

_KNOWN = {"Action", "Version", "RoleArn", "RoleSessionName", "DurationSeconds"}


def answer_sts(
    session: Session,
    wire: Wire,
    *,
    role: Callable[[str], Principal | None],
    begin: Callable[[str, str], Session],
) -> Answer:
    """Answers GetCallerIdentity and AssumeRole; refuses what it does not know.

    Args:
        session: the caller's.
        wire: the request.
        role: reads a role by its ARN.
        begin: opens a session of a role, under a name.

    Raises:
        ServiceError: if the caller gets no role.
    """
    form = wire.form
    if form["Action"] == "GetCallerIdentity":
        return answer_xml(session.identity())
    if form["Action"] != "AssumeRole" or form.keys() - _KNOWN:
        unknown = ", ".join(form.keys() - _KNOWN)
        raise ServiceError(
            "ValidationError", f"the emulator knows no {form['Action']} with {unknown}"
        )
    # "Role chaining", IAM User Guide: every caller here acts as a role already.
    if int(form.get("DurationSeconds", "3600")) > HOUR.total_seconds():
        raise ServiceError(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by "
            "role chaining",
        )
    caller, target = role(session.role), role(form["RoleArn"])
    if caller is None or target is None or not may_assume(caller, target):
        raise ServiceError(
            "AccessDenied",
            f"User: {session.arn} is not authorized to perform: sts:AssumeRole on resource: "
            f"{form['RoleArn']}",
        )
    return answer_xml(begin(target.arn, form["RoleSessionName"]).assumed())
