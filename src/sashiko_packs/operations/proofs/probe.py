"""A probe: what is believed of AWS, the calls that settle it, what they cost, how they are undone.

Probes are data: `probes/*.yaml`. `fixtures.yaml` has what several of them make first, such as a
role, and `answers.yaml` which fields of each operation's answer a record keeps.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from sashiko.account.prices import PRICE_FILE, Prices
from sashiko.base.yaml_models import Frozen, read_yaml, validate

_FOLDER: Final = Path(__file__).parent
_ARGUMENT: Final = re.compile(r"\$\{arg\.(\w+)\}")


class Call(Frozen):
    """One call, which may be repeated until its answer is as expected."""

    call: str = Field(pattern=r"^[a-z0-9-]+:[A-Z]\w+$")  # service of boto3, and operation
    with_: dict[str, Any] = Field(default_factory=dict, alias="with")
    until: str = ""  # an expression, as `Probe.holds`, whose names are those of one answer
    every: int = Field(default=10, ge=1, le=60)  # seconds between two calls
    times: int = Field(default=36, ge=1, le=360)  # at most
    pause: int = Field(default=0, ge=0, le=120)  # seconds before the first one

    @property
    def service(self) -> str:
        """Returns the service's name in boto3."""
        return self.call.partition(":")[0]


class Step(Call):
    """A call of a probe, with what removes what it makes."""

    name: str = Field(default="", pattern=r"^\w*$")  # what expressions and later steps call it
    as_: str = Field(default="", alias="as")  # the step that made the role whose call it is
    undo: tuple[Call, ...] = ()  # in this order, after those of later steps


class Probe(Frozen):
    """A belief about AWS, and how a call settles it.

    `premise`, `holds` and `differs` are JMESPath over the named answers: of a step `sign` there are
    `sign.ok`, `sign.answer.Signature`, and of an error `sign.code`, `sign.message`, `sign.status`.
    """

    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")
    belief: str
    row: str  # of the matrix in docs/verified.md: its first cell
    costs: dict[str, float] = Field(default_factory=dict)  # name in the price table -> amount
    usd: float = Field(default=0, ge=0)  # beside those
    source: str = ""  # of `usd`
    minutes: int = Field(ge=1)
    outline: str = ""  # the calls in words, of a probe that nobody has written yet
    steps: tuple[Step, ...] = ()
    premise: str = "`true`"  # without which nothing follows from the other answers
    holds: str = ""
    differs: str = ""

    def is_judged(self, step: Step) -> bool:
        """Says whether the verdict names a step, so that its error is an answer."""
        texts = (self.premise, self.holds, self.differs)
        return bool(step.name) and any(re.search(rf"\b{step.name}\b", text) for text in texts)

    @cached_property
    def price(self) -> float:
        """What it costs at most, in US dollars of us-east-1: elsewhere prices differ by tenths."""
        prices = validate(Prices, read_yaml(PRICE_FILE), source=PRICE_FILE.name)
        all_prices = (*prices.prices.items(), *prices.instances.items())
        table = {str(name): price.usd for name, price in all_prices}
        costs = (table[name] * amount for name, amount in self.costs.items())
        return round(self.usd + sum(costs), 3)


@cache
def all_probes() -> tuple[Probe, ...]:
    """Reads the probes, in the order in which they are best run; InputError if one is not valid."""
    probes = []
    for file in sorted((_FOLDER / "probes").glob("*.yaml")):
        for item in read_yaml(file)["probes"]:
            steps = list(_expand(item.get("steps", ())))
            probes.append(validate(Probe, {**item, "steps": steps}, source=item["id"]))
    return tuple(probes)


def _expand(steps: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    """Yields the steps, with those of fixtures: each has `args`, with defaults, and `steps`."""
    for step in steps:
        if "use" in step:
            fixture = data("fixtures")[step["use"]]
            arguments = {**fixture.get("args", {}), **step}
            yield from _expand(_fill(fixture["steps"], arguments))
        else:
            yield step


def _fill(value: Any, arguments: Mapping[str, Any]) -> Any:
    """Fills a fixture's arguments in; one that is null leaves its key out."""
    if isinstance(value, Mapping):
        filled = {key: _fill(item, arguments) for key, item in value.items()}
        return {key: item for key, item in filled.items() if item is not None}
    if isinstance(value, list | tuple):
        return [_fill(item, arguments) for item in value]
    if not isinstance(value, str):
        return value
    if match := _ARGUMENT.fullmatch(value):
        return arguments[match[1]]
    return _ARGUMENT.sub(lambda match: str(arguments[match[1]]), value)


@cache
def data(name: str) -> Mapping[str, Any]:
    """Returns `fixtures`, `answers` (operation -> fields that a record keeps) or `sweep`."""
    return read_yaml(_FOLDER / f"{name}.yaml")
