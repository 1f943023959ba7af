"""What Describe will say of a step's finished job, in so far as the definition tells."""

from collections.abc import Mapping
from typing import Any

from sashiko.definition.model import Step
from sashiko.definition.validator.api import Shape, job_api
from sashiko.definition.validator.unknown import stand_in


def described(step: Step) -> Mapping[str, Any]:
    """Returns every property of the step's type.

    A literal argument is its own property, and lists and maps have the items that the arguments
    give them; what only a run can know is a stand-in.
    """
    api = job_api(step.type)
    given = {key: value for key, value in step.arguments.items() if key != api.name}
    return {name: _value(item, given.get(name)) for name, item in api.describe.members.items()}


def _value(shape: Shape, given: Any) -> Any:
    match shape.type_name:
        case "structure":
            inside = given if isinstance(given, Mapping) else {}
            return {name: _value(item, inside.get(name)) for name, item in shape.members.items()}
        case "list":
            items = given if isinstance(given, list) else [None]
            return [_value(shape.member, item) for item in items]
        case "map":
            inside = given if isinstance(given, Mapping) else {}
            return {key: _value(shape.value, item) for key, item in inside.items()}
        case kind:
            # An expression stands for what only a run can know, too.
            return given if isinstance(given, str | int | float) else stand_in(kind)
