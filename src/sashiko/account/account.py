"""The account of an environment: boto3 clients, reads, errors in one form."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sashiko.account.names import Role, role_name
from sashiko.errors import InputError
from sashiko.settings.environment import Settings

_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403"}
_BUSY = {
    "InternalFailure",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
}
_INVALID = {
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
}


class NoAnswerError(InputError):
    """The account did not answer: no credentials, no permission, no connection."""


class BusyError(NoAnswerError):
    """A transient failure: throttling, an outage, or no connection."""


class DeniedError(NoAnswerError):
    """The caller lacks the permission for the call."""


class NoBucketError(NoAnswerError):
    """The bucket of the call does not exist."""


class Account:
    """The account of an environment, accessed with the caller's credentials."""

    def __init__(self, settings: Settings) -> None:
        """Makes no call; endpoints and credentials come from the usual AWS variables and files."""
        self._settings = settings
        self._clients: dict[str, Any] = {}

    @property
    def number(self) -> str:
        """The account id from the settings."""
        return self._settings.account

    def client(self, service: str) -> Any:
        """Returns a boto3 client in the environment's region, the same one each time."""
        import boto3
        from botocore.config import Config

        if service not in self._clients:
            quick = Config(connect_timeout=5, retries={"total_max_attempts": 3})
            session = boto3.session.Session(region_name=self._settings.region)
            self._clients[service] = session.client(service, config=quick)
        return self._clients[service]

    def read(
        self,
        service: str,
        operation: str,
        *,
        absent: tuple[str, ...] = (),
        role: Role | None = None,
        **parameters: Any,
    ) -> Mapping[str, Any] | None:
        """Calls an operation that reads, and returns the response; None if nothing is there.

        `absent` are error codes that mean that the resource does not exist; errors name `role`,
        which may make the call. InputError without credentials, permission or connection.
        """
        from botocore.exceptions import ClientError

        with self.translate_errors(f"{service}:{operation}", role=role):
            try:
                response: Mapping[str, Any] = getattr(self.client(service), operation)(**parameters)
            except ClientError as error:
                if error.response["Error"]["Code"] in absent:
                    return None
                raise
        return response

    @contextmanager
    def translate_errors(self, call: str, *, role: Role | None = None) -> Iterator[None]:
        """Raises the errors of AWS calls as `InputError` with one message.

        Raises:
            BusyError: if the same call may succeed later.
            DeniedError: without the permission.
            NoBucketError: if the bucket of the call does not exist.
            NoAnswerError: without credentials, or if the call fails otherwise.
        """
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            yield
        except NoCredentialsError as error:
            raise NoAnswerError(f"no AWS credentials for {self._name}: {_LOGIN}") from error
        except ClientError as error:
            code = error.response["Error"]["Code"]
            kind = NoBucketError if code == "NoSuchBucket" else NoAnswerError
            kind = BusyError if code in _BUSY else DeniedError if code in _DENIED else kind
            raise kind(self._reason(error, call, role)) from error
        except BotoCoreError as error:
            raise BusyError(
                f"{call} in {self._name} cannot be reached: {error}; check the network, "
                "AWS_PROFILE and AWS_ENDPOINT_URL"
            ) from error

    def pages(
        self,
        service: str,
        operation: str,
        member: str,
        *,
        absent: tuple[str, ...] = (),
        role: Role | None = None,
        **parameters: Any,
    ) -> Iterator[Mapping[str, Any]]:
        """Yields the items of every page of a listing; `member` holds them. Errors as `read`."""
        token: dict[str, str] = {}
        while True:
            page = self.read(service, operation, absent=absent, role=role, **parameters, **token)
            yield from (page or {}).get(member, ())
            names = [name for name in ("NextToken", "nextToken") if (page or {}).get(name)]
            if not page or not names:
                return
            token = {names[0]: page[names[0]]}

    def check_identity(self) -> str:
        """Returns the ARN of the caller; InputError if the credentials are of another account."""
        caller = self.read("sts", "get_caller_identity") or {}
        if caller.get("Account") != self._settings.account:
            raise InputError(
                f"the AWS credentials are of the account {caller.get('Account')} "
                f"({caller.get('Arn')}), not of {self._name}: {_LOGIN}"
            )
        return str(caller["Arn"])

    @property
    def _name(self) -> str:
        settings = self._settings
        return f"{settings.environment} (account {settings.account}, {settings.region})"

    def _reason(self, error: Any, call: str, role: Role | None) -> str:
        code, message = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code in _DENIED:
            name = role and role_name(self._settings, role)
            advice = f"use the role {name}" if name else "use a role that has the permission"
            return f"{call} is denied in {self._name}: {message}; {advice}"
        if code in _INVALID:
            return f"the AWS credentials for {self._name} are not valid ({code}): {_LOGIN}"
        return f"{call} failed in {self._name}: {code}: {message}"


_LOGIN = "log in to that account (aws sso login, or set AWS_PROFILE) and run the command again"
