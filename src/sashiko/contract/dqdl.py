"""The Glue Data Quality ruleset of a contract, equivalent to its Great Expectations suite."""

from dataclasses import dataclass

from sashiko.contract.dqdl_table import RENDERERS, NotInDqdlError, RuleArguments
from sashiko.contract.model import Contract
from sashiko.contract.rules import Expectation, expectations
from sashiko.errors import InputError


@dataclass(frozen=True, kw_only=True)
class DqdlRule:
    """A rule of the ruleset."""

    name: str  # the equivalent expectation, such as `complaint_id: unique`
    text: str  # the rule in DQDL


@dataclass(frozen=True, kw_only=True)
class Unmapped:
    """An expectation without an equivalent in DQDL."""

    rule: str  # the expectation's name
    reason: str  # why DQDL cannot express it, and what checks it instead


@dataclass(frozen=True, kw_only=True)
class Ruleset:
    """The suite of a contract as DQDL; each expectation is in exactly one of the two lists."""

    rules: tuple[DqdlRule, ...]
    unmapped: tuple[Unmapped, ...]

    @property
    def text(self) -> str:
        """The document for Glue, with the check's name as a comment above each rule."""
        body = ",\n".join(f"    # {_one_line(rule.name)}\n    {rule.text}" for rule in self.rules)
        return f"Rules = [\n{body}\n]\n"


def dqdl_ruleset(contract: Contract) -> Ruleset:
    """Renders the expectations of the whole table.

    Raises:
        InputError: if the DQDL table does not handle an expectation, or Java does not support a
            pattern.
    """
    rules, unmapped = [], []
    for item in expectations(contract, "all"):
        try:
            rules.append(DqdlRule(name=item.name, text=_render(contract, item)))
        except NotInDqdlError as error:
            unmapped.append(Unmapped(rule=item.name, reason=str(error)))
    return Ruleset(rules=tuple(rules), unmapped=tuple(unmapped))


def _render(contract: Contract, item: Expectation) -> str:
    if item.kind not in RENDERERS:
        raise InputError(
            f"{contract.table}: `{item.name}`: `{item.kind}` has no DQDL renderer; add one to "
            "sashiko.contract.dqdl_table"
        )
    name = item.arguments.get("column")
    try:
        return RENDERERS[item.kind](
            RuleArguments(
                column=None if name is None else contract.column(name),
                arguments=item.arguments,
            )
        )
    except InputError as error:
        raise InputError(f"{contract.table}: `{item.name}`: {error}") from error


def _one_line(name: str) -> str:
    return " ".join(name.split())
