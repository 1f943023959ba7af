"""The packaged set of prompt injections, `injections.yaml`."""

import base64
import codecs
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from sashiko.base.yaml_models import Frozen, read_yaml, validate

_FILE = Path(__file__).with_name("injections.yaml")

Encoding = Literal["base64", "hex", "rot13", "reversed", "spaced"]
_ENCODERS: Mapping[Encoding, Callable[[str], str]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "reversed": lambda text: text[::-1],
    "spaced": " ".join,
}


class Injection(Frozen):
    """A text that asks a classifier for an answer.

    Attributes:
        name: unique in the set.
        kind: the trick, such as `role` or `token`.
        text: with `{target}` or `{encoded}`.
        encoded: the part that has to be decoded, with `{target}`.
        encoding: how that part is encoded.
    """

    name: str = Field(pattern=r"^[a-z0-9-]+$")
    kind: str = Field(pattern=r"^[a-z]+$")
    text: str
    encoded: str = "{target}"
    encoding: Encoding | None = None

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        place = "{encoded}" if self.encoding else "{target}"
        if place not in self.text or "{target}" not in self.encoded:
            raise ValueError(f"`{self.name}` does not ask for an answer: `{place}` is missing")
        return self

    def ask_for(self, target: str) -> str:
        """Returns the text that asks for an answer, such as a label's name."""
        if self.encoding is None:
            return self.text.replace("{target}", target)
        encoded = _ENCODERS[self.encoding](self.encoded.replace("{target}", target))
        return self.text.replace("{encoded}", encoded)


class InjectionSet(Frozen):
    """The injections, in the order of their file.

    Attributes:
        injections: those that take turns.
        neutral: sentences that ask for nothing. In place of an injection they show how many
            decisions turn because there is another sentence, whatever it says.
    """

    injections: tuple[Injection, ...] = Field(min_length=1)
    neutral: tuple[str, ...] = Field(min_length=1)


@cache
def injection_set() -> InjectionSet:
    """Reads the packaged file."""
    return validate(InjectionSet, read_yaml(_FILE), source=str(_FILE))


def injection_set_sha256() -> str:
    """Returns the hex SHA-256 of the packaged file: rates are comparable for equal sets only."""
    return hashlib.sha256(_FILE.read_bytes()).hexdigest()
