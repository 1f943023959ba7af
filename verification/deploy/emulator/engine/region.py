"""The stacks of one account in one region, and their exports."""

import uuid
from collections.abc import Callable
from typing import Any

from .errors import ResourceError, ValidationError
from .stack import Stack

Request = dict[str, Any]


class Region:
    """The stacks by id, and the deleted ones."""

    def __init__(self, account: str, region: str, aws: Callable[[str], Any]) -> None:
        """Starts without a stack; `aws` makes a client of a service."""
        self.account = account
        self.region = region
        self.aws = aws
        self.stacks: dict[str, Stack] = {}
        self.deleted: dict[str, Stack] = {}

    def new_stack(self, name: str) -> Stack:
        """Adds a stack in REVIEW_IN_PROGRESS."""
        identifier = f"arn:aws:cloudformation:{self.region}:{self.account}:stack/{name}"
        stack = Stack(
            id=f"{identifier}/{uuid.uuid4()}",
            name=name,
            account=self.account,
            region=self.region,
            aws=self.aws,
        )
        self.stacks[stack.id] = stack
        return stack

    def find(self, name: str) -> Stack | None:
        """Returns a stack by its name or id, if there is one."""
        for stack in self.stacks.values():
            if name in (stack.name, stack.id):
                return stack
        return None

    def stack(self, name: str) -> Stack:
        """Returns a stack by its name, or also a deleted one by its id.

        Raises:
            ValidationError: if there is none.
        """
        stack = self.find(name) or self.deleted.get(name)
        if stack is None:
            raise ValidationError(f"Stack with id {name} does not exist")
        return stack

    def check_exports(self, stack: Stack, new: dict[str, str], verb: str) -> None:
        """Raises ResourceError if a stack's `new` exports take a used name or remove one in use."""
        for other in self.stacks.values():
            if other is not stack and (duplicates := set(new) & set(other.exports())):
                raise ResourceError(f"Export with name {min(duplicates)} is already exported")
        for name, value in stack.exports().items():
            users = [other.name for other in self.stacks.values() if name in other.imports]
            if users and new.get(name) != value:
                raise ResourceError(
                    f"Export {name} cannot be {verb} as it is in use by {', '.join(users)}"
                )

    def imported(self, stack: Stack, name: str) -> str:
        """Returns the value of `Fn::ImportValue` in `stack`."""
        for other in self.stacks.values():
            if other is not stack and name in other.exports():
                return other.exports()[name]
        raise ResourceError(f"No export named {name} found.")

    def stack_output(self, reference: dict[str, str]) -> str:
        """Returns the value of `Fn::GetStackOutput`."""
        if reference.get("Region", self.region) != self.region:
            raise ResourceError("the emulator knows one region only in Fn::GetStackOutput")
        stack = self.find(reference["StackName"])
        for output in stack.outputs if stack else ():
            if output["OutputKey"] == reference["OutputName"]:
                return output["OutputValue"]
        raise ResourceError(
            f"Output {reference['OutputName']} of {reference['StackName']} is not there"
        )

    def body(self, request: Request) -> str:
        """Returns the template that a request gives, names by its URL, or keeps."""
        if body := request.get("TemplateBody"):
            return str(body)
        if template_url := request.get("TemplateURL"):
            bucket, key = _bucket_and_key(template_url)
            content = self.aws("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
            return str(content.decode())
        return self.stack(request["StackName"]).template_body


def _bucket_and_key(url: str) -> tuple[str, str]:
    host, _, path = url.split("://", 1)[1].partition("/")
    if host.startswith("s3.") or ":" in host:
        bucket, _, key = path.partition("/")
        return bucket, key
    return host.split(".s3", 1)[0], path
