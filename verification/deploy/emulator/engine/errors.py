"""Errors of a deploy."""

from botocore.exceptions import BotoCoreError, ClientError
from moto.core.exceptions import ServiceException


class ValidationError(ServiceException):
    """CloudFormation's answer to an invalid request."""

    code = "ValidationError"


class InsufficientCapabilitiesError(ServiceException):
    """CloudFormation's answer to IAM resources that the caller has not acknowledged."""

    code = "InsufficientCapabilitiesException"


class ChangeSetNotFoundError(ServiceException):
    """CloudFormation's answer to a change set that does not exist."""

    code = "ChangeSetNotFound"


class ResourceError(Exception):
    """A resource that can't be made as its template says; the stack fails and rolls back."""


class AbsentError(Exception):
    """A resource that its service does not know."""


# The errors that a resource's calls may raise: any other is a fault of the emulator.
FAILURES = (ResourceError, ClientError, BotoCoreError)
