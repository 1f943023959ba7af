"""The credentials of roles, which end: nothing else is accepted from a caller."""

import datetime as dt
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from xml.sax.saxutils import escape

HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Session:
    """A role that somebody acts as, for a while.

    Attributes:
        role: its ARN.
        name: of the session: who acts.
        key: of its access key.
        secret: of its access key.
        token: without which the key is nothing.
        expires: when all of it ends.
    """

    role: str
    name: str
    key: str
    secret: str
    token: str
    expires: dt.datetime

    @property
    def account(self) -> str:
        """The account of the role."""
        return self.role.split(":")[4]

    @property
    def arn(self) -> str:
        """Who acts, as the services name it."""
        role = self.role.rpartition("/")[2]
        return f"arn:aws:sts::{self.account}:assumed-role/{role}/{self.name}"

    def variables(self) -> Mapping[str, str]:
        """Returns the variables in which AWS's tools look for credentials."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_SESSION_TOKEN": self.token,
        }

    def document(self) -> Mapping[str, str]:
        """Returns what a container's endpoint answers."""
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
        """Returns STS's answer to AssumeRole."""
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
        """Returns STS's answer to GetCallerIdentity."""
        return sts_answer(
            "GetCallerIdentity",
            f"<Arn>{escape(self.arn)}</Arn><UserId>{self._id}</UserId>"
            f"<Account>{self.account}</Account>",
        )

    @property
    def _id(self) -> str:
        return f"AROA{self.key[4:]}:{escape(self.name)}"


def new_session(role: str, name: str, *, now: dt.datetime) -> Session:
    """Returns a session of an hour."""
    return Session(
        role=role,
        name=name,
        key=f"ASIA{secrets.token_hex(8).upper()}",
        secret=secrets.token_hex(20),
        token=secrets.token_hex(32),
        expires=now + HOUR,
    )


def sts_answer(operation: str, result: str) -> str:
    """Returns an answer in STS's form."""
    return (
        f'<{operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<{operation}Result>{result}</{operation}Result>"
        f"<ResponseMetadata><RequestId>emulated</RequestId></ResponseMetadata>"
        f"</{operation}Response>"
    )
