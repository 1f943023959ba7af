"""CloudTrail's record of calls, which moto lacks and the CDK asks for when a resource fails.

Without an answer it tries for half a minute.
"""

from .json_api import Handler


class CloudTrail:
    """A record in which nothing stands."""

    def __init__(self) -> None:
        """Answers each look-up with nothing."""
        self.operations: dict[str, Handler] = {"LookupEvents": lambda _: {"Events": []}}
