"""What a deploy says when it stops."""

from botocore.exceptions import BotoCoreError, ClientError
from moto.core.exceptions import ServiceException


class ValidationError(ServiceException):
    """CloudFormation's answer to a request that it does not take at all."""

    code = "ValidationError"


class InsufficientCapabilitiesError(ServiceException):
    """CloudFormation's answer to IAM resources that the caller has not agreed to."""

    code = "InsufficientCapabilitiesException"


class ChangeSetNotFoundError(ServiceException):
    """CloudFormation's answer to a change set that is not there."""

    code = "ChangeSetNotFound"


class ResourceError(Exception):
    """A resource that can't be made as its template says; the stack fails and rolls back."""


class AbsentError(Exception):
    """A resource that its service does not know."""


# What a resource's calls may end in: anything else is a fault of the emulator.
FAILURES = (ResourceError, ClientError, BotoCoreError)
