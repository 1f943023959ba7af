"""CloudFormation's wire format, read and written by moto, on top of our own engine."""

from collections.abc import Callable
from threading import RLock
from typing import Any

import moto.cloudformation.urls
from moto.core.responses import ActionResult, BaseResponse

from ..engine.cloudformation import CloudFormation

_OPERATIONS = (
    "create_change_set",
    "create_stack",
    "delete_change_set",
    "delete_stack",
    "describe_change_set",
    "describe_events",
    "describe_stack_events",
    "describe_stack_resources",
    "describe_stacks",
    "execute_change_set",
    "get_template",
    "get_template_summary",
    "list_change_sets",
    "list_exports",
    "list_stack_resources",
    "list_stacks",
    "update_stack",
    "update_termination_protection",
)


def install(account: str, aws: Callable[[str, str], Any]) -> None:
    """Puts our engine in the place of moto's; `aws(service, region)` makes a client."""
    engines: dict[str, CloudFormation] = {}
    lock = RLock()

    class Responses(BaseResponse):
        def __init__(self) -> None:
            super().__init__(service_name="cloudformation")
            self.automated_parameter_parsing = True

    def responder(name: str) -> Callable[[Responses], ActionResult]:
        def respond(self: Responses) -> ActionResult:
            region = self.region
            with lock:
                engine = engines.setdefault(
                    region, CloudFormation(account, region, lambda service: aws(service, region))
                )
                return ActionResult(getattr(engine, name)(dict(self._get_params())))

        return respond

    for name in _OPERATIONS:
        setattr(Responses, name, responder(name))
    moto.cloudformation.urls.url_paths = {"{0}/$": Responses.dispatch}
