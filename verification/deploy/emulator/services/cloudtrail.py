"""CloudTrail's event history, which moto lacks and the CDK reads when a resource fails.

Without an answer it tries for half a minute.
"""

from .json_api import Handler


class CloudTrail:
    """An empty event history."""

    def __init__(self) -> None:
        """Answers each look-up with nothing."""
        self.operations: dict[str, Handler] = {"LookupEvents": lambda _: {"Events": []}}
