"""The page that a reviewer reads: a table of the rules, then each finding with its reason."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

from sashiko_cdk.security_report.findings import ReportedFinding

_K = TypeVar("_K")
_HEAD = ("framework", "rule", "open", "explained", "resources")


def page(environment: str, frameworks: Sequence[str], findings: Sequence[ReportedFinding]) -> str:
    """Writes the report in Markdown that is readable as plain text too."""
    ordered = sorted(findings, key=lambda item: (frameworks.index(item.framework), _key(item)))
    open_items = [item for item in ordered if item.is_open]
    explained = [item for item in ordered if not item.is_open]
    return "\n".join(
        [
            f"# Security report: {environment}",
            "",
            f"Findings: {len(open_items)} open, {len(explained)} explained.",
            "",
            *_table(_rows(frameworks, ordered)),
            "",
            "## Open",
            "",
            *(_rules(open_items) if open_items else ["Nothing.", ""]),
            "## Explained",
            "",
            *_rules(explained),
        ]
    )


def _key(item: ReportedFinding) -> tuple[str, str, str, str]:
    return item.rule, item.reason or "", item.resource, item.detail


def _rule(item: ReportedFinding) -> tuple[str, str]:
    return item.framework, item.rule


def _rows(
    frameworks: Sequence[str], findings: Sequence[ReportedFinding]
) -> Iterator[tuple[str, ...]]:
    by_rule = dict(_grouped(findings, _rule))
    for framework in frameworks:
        rules = [rule for rule in by_rule if rule[0] == framework]
        if not rules:
            yield framework, "no finding", "0", "0", "0"
        for rule in rules:
            items = by_rule[rule]
            open_count = sum(item.is_open for item in items)
            resources = {item.resource for item in items}
            yield (*rule, str(open_count), str(len(items) - open_count), str(len(resources)))


def _table(rows: Iterator[tuple[str, ...]]) -> Iterator[str]:
    lines = [_HEAD, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for number, line in enumerate(lines):
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        yield f"| {' | '.join(cells)} |"
        if not number:
            yield f"|{'|'.join('-' * (width + 2) for width in widths)}|"


def _rules(findings: Sequence[ReportedFinding]) -> Iterator[str]:
    for (framework, rule), items in _grouped(findings, _rule):
        yield f"### {framework}: {rule}"
        yield ""
        yield items[0].description
        yield ""
        for reason, group in _grouped(items, lambda item: item.reason):
            yield f"- {reason or 'Fix it, or say at the resource why it stands (`acknowledge`):'}"
            for resource, details in _grouped(group, lambda item: item.resource):
                names = ", ".join(f"`{item.detail}`" for item in details if item.detail)
                yield f"  - {resource}{names and ': '}{names}"
        yield ""


def _grouped(
    findings: Sequence[ReportedFinding], key: Callable[[ReportedFinding], _K]
) -> Iterator[tuple[_K, list[ReportedFinding]]]:
    """Groups sorted findings."""
    return ((value, [*items]) for value, items in groupby(findings, key=key))
