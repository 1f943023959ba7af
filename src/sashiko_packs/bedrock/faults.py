"""A reason why Bedrock would not import a model, or would import another one than was judged."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One reason, found before anything is uploaded."""

    name: str  # the same each time, such as `architecture`
    problem: str  # what is wrong, where, and how to correct it

    def __str__(self) -> str:
        """Returns it as a line."""
        return f"{self.name}: {self.problem}"
