"""The Glue Data Quality ruleset of a contract: what the Great Expectations suite checks."""

from dataclasses import dataclass

from sashiko.contract.dqdl_table import RENDERERS, Asked, NoEqualError
from sashiko.contract.model import Contract
from sashiko.contract.rules import Expectation, expectations
from sashiko.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DqdlRule:
    """A rule of the ruleset.

    Attributes:
        name: the expectation that it equals, such as `complaint_id: unique`.
        text: the rule in DQDL.
    """

    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Unmapped:
    """An expectation that has no equal in DQDL.

    Attributes:
        rule: the expectation's name.
        reason: why DQDL cannot say it, and what checks it instead, for a person.
    """

    rule: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Ruleset:
    """The suite of a contract as DQDL: each expectation is in exactly one of the two lists."""

    rules: tuple[DqdlRule, ...]
    unmapped: tuple[Unmapped, ...]

    @property
    def text(self) -> str:
        """The document that Glue evaluates; a comment names the check of each rule."""
        body = ",\n".join(f"    # {_one_line(rule.name)}\n    {rule.text}" for rule in self.rules)
        return f"Rules = [\n{body}\n]\n"


def dqdl_ruleset(contract: Contract) -> Ruleset:
    """Renders the expectations of the whole table.

    Raises:
        InputError: if an expectation is neither rendered by the DQDL table nor refused by it with a
            reason, or a pattern is none that Java knows.
    """
    rules, unmapped = [], []
    for item in expectations(contract, "all"):
        try:
            rules.append(DqdlRule(name=item.name, text=_render(contract, item)))
        except NoEqualError as error:
            unmapped.append(Unmapped(rule=item.name, reason=str(error)))
    return Ruleset(rules=tuple(rules), unmapped=tuple(unmapped))


def _render(contract: Contract, item: Expectation) -> str:
    if item.kind not in RENDERERS:
        raise InputError(
            f"{contract.table}: `{item.name}`: nothing says how `{item.kind}` is written in DQDL; "
            "add it to sashiko.contract.dqdl_table, or refuse it there with a reason"
        )
    name = item.arguments.get("column")
    try:
        return RENDERERS[item.kind](
            Asked(
                column=None if name is None else contract.column(name),
                arguments=item.arguments,
            )
        )
    except InputError as error:
        raise InputError(f"{contract.table}: `{item.name}`: {error}") from error


def _one_line(name: str) -> str:
    return " ".join(name.split())
