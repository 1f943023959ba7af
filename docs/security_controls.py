"""`security-controls.md`: control -> resources in the templates -> the test that proves it."""

import runpy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from docs.control_tests import proofs
from docs.controls import STANDARDS, Control

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/security-controls.md"
Templates = Mapping[str, Mapping[str, Any]]
_HEAD = """\
<!-- Written by `make docs`, from docs/controls.py, the templates, and the tests' own marks. -->

# Security controls

For security reviewers: which resources each control covers in prod as it ships, and which test
proves it. Each proof is a test below `tests/infra/` that is marked with the control
(`@pytest.mark.control`). Our own rules run in every synth; `test_each_rule_finds_its_example[...]`
shows that a rule finds a violation. None of this ran on a real account. `make security-report`
lists the findings and the reasons to accept them; `SECURITY.md` says what no template can promise.
"""


def security_page(templates: Templates) -> str:
    """Writes the page.

    Args:
        templates: stack -> template, of one environment.

    Raises:
        SystemExit: if a control lacks a resource or a proof, or a proof its control.
    """
    proved = proofs()
    controls = [control for group in STANDARDS.values() for control in group]
    if wrong := [*_wrong(controls, templates, proved)]:
        raise SystemExit("error: " + "\n       ".join(wrong))
    parts = [_section(name, group, templates, proved) for name, group in STANDARDS.items()]
    return "\n".join([_HEAD, *parts, _absences(controls)])


def templates_of(variant: str) -> Templates:
    """Synthesizes upstream's settings in one of the variants that the tests have."""
    variants = runpy.run_path(str(ROOT / "tests/infra/variants.py"))
    templates: Templates = variants["templates_of"](variant)
    return templates


def _wrong(
    controls: Sequence[Control], templates: Templates, proved: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    known = {control.id: control for control in controls}
    for control in controls:
        there = _resources(control, templates)
        if control.absent and there:
            yield f"{control.id}: docs/controls.py says `{control.absent}`, and there is {there}"
        elif not control.absent and not there:
            yield f"{control.id}: no resource of {', '.join(control.kinds)} in the templates"
        elif not control.absent and control.id not in proved:
            yield f'{control.id}: mark a test in tests/infra: @pytest.mark.control("{control.id}")'
    for id_ in sorted(proved.keys() - known.keys()):
        yield f"{id_}: {', '.join(proved[id_])} proves it, and docs/controls.py lacks it"


def _resources(control: Control, templates: Templates) -> str:
    """Says of which types and stacks there are how many, such as `Glue::Job` x 2 (DataLake)."""
    totals = Counter(
        (resource["Type"], stack)
        for stack, template in templates.items()
        for resource in template["Resources"].values()
        if any(fnmatchcase(resource["Type"], kind) for kind in control.kinds)
    )
    if control.kinds == ("AWS::*",):
        return f"all {totals.total()}" if totals else ""
    counts = {
        kind: ", ".join(
            f"{stack} {totals[kind, stack]}" for of, stack in sorted(totals) if of == kind
        )
        for kind, _ in sorted(totals)
    }
    return "<br>".join(f"`{kind}`: {stacks}" for kind, stacks in counts.items())


def _section(
    name: str,
    controls: Sequence[Control],
    templates: Templates,
    proved: Mapping[str, Sequence[str]],
) -> str:
    rows = [
        f"| {control.id} | {control.asks} | {_resources(control, templates)} "
        f"| {'<br>'.join(f'`{test}`' for test in proved[control.id])} |"
        for control in controls
        if not control.absent
    ]
    head = ["| control | what must hold | resources | proof |", "|---|---|---|---|"]
    return "\n".join([f"## {name}", "", *head, *rows, ""])


def _absences(controls: Sequence[Control]) -> str:
    rows = [
        f"| {control.id} | {control.asks} | {control.absent} |"
        for control in controls
        if control.absent
    ]
    head = ["## Not proved here", "", "| control | what must hold | why |", "|---|---|---|"]
    return "\n".join([*head, *rows, ""])
