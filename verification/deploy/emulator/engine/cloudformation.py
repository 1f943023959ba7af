"""CloudFormation's operations that the CDK command line calls.

An operation has ended when its call returns, so a caller that polls sees the result at once.
"""

from collections.abc import Callable
from typing import Any

from .adoption import Adoption
from .change_sets import ChangeSets
from .checks import check_status, check_template
from .deployment import deploy
from .errors import ResourceError, ValidationError
from .operation import Operation
from .region import Region, Request


class CloudFormation(ChangeSets):
    """The stacks of one account in one region."""

    def __init__(self, account: str, region: str, aws: Callable[[str], Any]) -> None:
        """Starts without a stack; `aws` makes a client of a service."""
        super().__init__(Region(account, region, aws))

    def create_stack(self, request: Request) -> dict[str, Any]:
        """Creates a stack without a change set."""
        if self.region.find(request["StackName"]):
            raise ValidationError(f"Stack [{request['StackName']}] already exists")
        request["TemplateBody"] = self.region.body(request)
        check_template(request["TemplateBody"], request)
        stack = self.region.new_stack(request["StackName"])
        deploy(self.region, stack, request, Adoption())
        return {"StackId": stack.id}

    def update_stack(self, request: Request) -> dict[str, Any]:
        """Updates a stack without a change set."""
        stack = self.region.stack(request["StackName"])
        request["TemplateBody"] = self.region.body(request)
        check_status(stack)
        if check_template(request["TemplateBody"], request) == stack.template:
            raise ValidationError("No updates are to be performed.")
        deploy(self.region, stack, request, Adoption())
        return {"StackId": stack.id}

    def update_termination_protection(self, request: Request) -> dict[str, Any]:
        """Turns a stack's termination protection on or off."""
        stack = self.region.stack(request["StackName"])
        stack.protected = bool(request["EnableTerminationProtection"])
        return {"StackId": stack.id}

    def delete_stack(self, request: Request) -> None:
        """Deletes a stack's resources; those that are to be retained stay."""
        stack = self.region.find(request["StackName"])
        if stack is None:
            return
        if stack.protected:
            raise ValidationError(
                f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            )
        stack.set_status("DELETE_IN_PROGRESS", "User Initiated")
        try:
            self.region.check_exports(stack, {}, "deleted")
        except ResourceError as error:
            stack.set_status("DELETE_FAILED", str(error))
            return
        if failed := Operation(stack).delete_all():
            names = ", ".join(failed)
            stack.set_status(
                "DELETE_FAILED", f"The following resource(s) failed to delete: [{names}]."
            )
            return
        stack.set_status("DELETE_COMPLETE")
        self.region.deleted[stack.id] = self.region.stacks.pop(stack.id)
        removed = [key for key, item in self.change_sets.items() if item.stack is stack]
        for key in removed:
            del self.change_sets[key]
