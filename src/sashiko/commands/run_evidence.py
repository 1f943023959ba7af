"""`sashiko runs diff` and `sashiko runs verify`: local runs side by side, and checked again."""

import json
import math
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import typer

from sashiko import __version__
from sashiko.base.files import read_json, sha256_file
from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.errors import CHECK_FAILED, InputError
from sashiko.evaluation.gates.verdict import Check, Verdict, read_verdict
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.pipeline.definition.definition_records import Definition
from sashiko.pipeline.project import tracking_uri
from sashiko.pipeline.runner.execute import replay
from sashiko.pipeline.runner.run_record import DataRecord
from sashiko.pipeline.runner.store import Digests
from sashiko.registry.chain import read_provenance
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.report.evidence import Evidence, Missing, read_evidence
from sashiko.report.gate_views import known, verdicts

# Replayed on another machine, the last places of a number differ.
_TOLERANCE = 1e-6
_VERSION = re.compile(r":(\d+\.\d+\.\d+)$")
_WORDS, _NUMBERS = ("passed", "threshold", "comparison"), ("value", "low", "high")


@dataclass(frozen=True)
class Finding:
    """The result of one check; `problem` is empty if all is as on record."""

    subject: str
    problem: str = ""
    # What another version of the engine than the run's finds: its rules may differ.
    otherwise: str = ""


def verify(evidence: Evidence, *, registry: MlflowRegistry | None) -> Iterator[Finding]:
    """Verifies a run step by step, without writing or downloading anything.

    Yields:
        A finding per step whose inputs and outputs were hashed, per gate whose verdict was worked
        out again, and one for the registered version.

    Raises:
        InputError: if the run's definition is missing, so that nothing can be worked out again.
    """
    definition, digests = evidence.definition, Digests()
    if isinstance(definition, Missing):
        raise InputError(f"run {evidence.run.id} cannot be verified: {definition.why}")
    done = [step for step in evidence.run.steps if step.status in ("succeeded", "cached")]
    for step in done:
        if step.inputs or step.outputs:
            count = f"{len(step.inputs)} inputs and {len(step.outputs)} outputs"
            problems = [
                *_changes("input", step.inputs, partial(digests.data, evidence.store)),
                *_changes("output", step.outputs, partial(digests.output, evidence.store)),
            ]
            yield Finding(f"{step.name}: {count}", "; ".join(problems))
    names = {step.name for step in done}
    for name, verdict in verdicts(evidence).items():
        if name in names:
            yield from _judged_again(evidence, definition, name, verdict)
    if evidence.run.status == "registered":
        yield _version(evidence, registry)


def _changes(
    way: str, records: Mapping[str, DataRecord], digest: Callable[[str], str]
) -> Iterator[str]:
    for name, record in records.items():
        try:
            sha256 = digest(record.uri)
        except InputError as error:
            yield f"{way} {name} cannot be read: {error}"
            continue
        if sha256 != record.sha256:
            current = f"{way} {name} ({record.uri}) has sha256 {sha256}"
            yield f"{current}, not {record.sha256} as on record"


def _judged_again(
    evidence: Evidence, definition: Definition, step: str, verdict: Verdict | Missing
) -> Iterator[Finding]:
    subject = f"{step}: verdict computed again"
    if isinstance(verdict, Missing):
        yield Finding(subject, verdict.why)
        return
    with tempfile.TemporaryDirectory(prefix="sashiko-verify-") as scratch:
        folder = Path(scratch).resolve()
        try:
            again = replay(evidence.run, definition, step, store=evidence.store, folder=folder)
            replayed = read_verdict(again["verdict"])
            differences = "; ".join(_differences(verdict, replayed))
            finding = Finding(f"{subject}: {_outcome(replayed)}", differences)
        except InputError as error:
            finding = Finding(subject, str(error))
    if finding.problem and (engine := _engine(definition, step)) != __version__:
        versions = f"the run is of engine {engine}, but this is {__version__}"
        finding = Finding(finding.subject, otherwise=f"{versions}: {finding.problem}")
    yield finding


def _engine(definition: Definition, name: str) -> str:
    """Returns the version of the engine that ran a step on this machine: its image's tag."""
    step = definition.step(name)
    image = step.arguments.get("AppSpecification", {}).get("ImageUri", "") if step else ""
    version = _VERSION.search(str(image))
    return version[1] if version else __version__


def _outcome(verdict: Verdict) -> str:
    return f"{verdict.outcome}, {len(verdict.checks)} checks" if verdict.judged else verdict.outcome


def _differences(recorded: Verdict, verdict: Verdict) -> Iterator[str]:
    if recorded.inputs != verdict.inputs:
        yield "its inputs have other hashes than the record says"
    before = {check.name: check for check in recorded.checks}
    after = {check.name: check for check in verdict.checks}
    for name in before | after:
        if name not in before or name not in after:
            where = "on record" if name in before else "found now"
            yield f"check `{name}` is {where} only"
        elif not _alike(before[name], after[name]):
            yield f"check `{name}` is {_format(after[name])}, not {_format(before[name])}"
    if (recorded.passed, recorded.judged) != (verdict.passed, verdict.judged):
        yield f"it is {_outcome(verdict)}, not {_outcome(recorded)} as on record"


def _alike(one: Check, other: Check) -> bool:
    """Whether two checks have the same words and, nearly, the same numbers."""
    if any(getattr(one, key) != getattr(other, key) for key in _WORDS):
        return False
    numbers = [(getattr(one, key), getattr(other, key)) for key in _NUMBERS]
    return all(
        left is right if left is None or right is None
        else math.isclose(left, right, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)
        for left, right in numbers
    )  # fmt: skip


def _format(check: Check) -> str:
    return check.outcome if check.value is None else f"{check.outcome} at {check.value:.6g}"


def _version(evidence: Evidence, registry: MlflowRegistry | None) -> Finding:
    path = evidence.output("Register", "registration", "registration.json")
    if isinstance(path, Missing):
        return Finding("registered version", path.why)
    registration: Mapping[str, object] = read_json(path)
    group, number = str(registration["model_package_group"]), int(str(registration["version"]))
    subject = f"version {group} {number}"
    if registry is None:
        return Finding(subject, "there is no registry on this machine any more")
    try:
        version = registry.version(group, number)
        provenance = read_provenance(registry, version)
        with tempfile.TemporaryDirectory() as folder:
            artifact = sha256_file(registry.download(version, Path(folder)))
    except InputError as error:
        return Finding(subject, str(error))
    files = f"{subject}: {len(provenance.files)} files and the artifact"
    if artifact != registration["artifact_sha256"]:
        return Finding(files, f"its artifact is {artifact}, the run registered another")
    return Finding(files)


Value = str | Estimate


@dataclass(frozen=True)
class Line:
    """A value of both runs; None if a run does not have it."""

    name: str
    left: Value | None
    right: Value | None

    @property
    def differs(self) -> bool:
        """Whether the two runs differ in it."""
        return self.left != self.right


def compare(left: Evidence, right: Evidence) -> dict[str, list[Line]]:
    """Compares two runs by kind, in the first one's order, then what the second alone has."""
    readers = {
        "run": _run,
        "settings": _settings,
        "data": _data,
        "metrics": _metrics,
        "intersections": lambda run: map(_bias, _estimates(run, crossed=True)),
        "gates": _gates,
        "checks": _checks,
    }
    parts = {}
    for title, read in readers.items():
        one, other = dict(read(left)), dict(read(right))
        parts[title] = [Line(name, one.get(name), other.get(name)) for name in one | other]
    return parts


def _run(evidence: Evidence) -> Iterator[tuple[str, Value]]:
    run = evidence.run
    yield "status", run.status
    yield "started", run.start
    yield "command", run.command
    if not isinstance(evidence.source, Missing):
        yield "commit", evidence.source.git_sha + ("-dirty" if evidence.source.dirty else "")


def _settings(evidence: Evidence) -> Iterator[tuple[str, Value]]:
    if not isinstance(evidence.recipe, Missing):
        yield from _flat(evidence.recipe.model_dump(mode="json"))
    for name, value in evidence.run.parameters.items():
        yield f"parameter {name}", str(value)


def _flat(value: Any, *, key: str = "") -> Iterator[tuple[str, Value]]:
    """Yields each leaf of a JSON value: `train.epochs`, `quality.gates.0.metric`."""
    if isinstance(value, Mapping | list) and value:
        for name, inner in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _flat(inner, key=f"{key}.{name}" if key else str(name))
    else:
        yield key, str(value)


def _data(evidence: Evidence) -> Iterator[tuple[str, Value]]:
    if not isinstance(evidence.contract, Missing):
        yield "contract", f"{evidence.contract.id} {evidence.contract.version}"
        yield "contract sha256", evidence.contract.sha256
    for step in ("Snapshot", "SnapshotFacets"):
        manifest = evidence.manifest(step)
        if not isinstance(manifest, Missing):
            yield f"{step} as of", manifest.as_of
            if manifest.source:
                yield f"{step} from", manifest.source.text
            yield f"{step} rows", f"{manifest.rows:,}"
            yield f"{step} sha256", manifest.sha256
    evaluation = evidence.evaluation
    if not isinstance(evaluation, Missing):
        for name, split in evaluation.splits.items():
            yield f"{name} split", str(split)


def _metrics(evidence: Evidence) -> Iterator[tuple[str, Value]]:
    evaluation = evidence.evaluation
    if not isinstance(evaluation, Missing):
        if len(evaluation.labels) == 2 or evaluation.selective is not None:
            yield "threshold", f"{evaluation.threshold:.3f}"
        yield from evaluation.gateable.items()
        for label, rates in zip(evaluation.labels, evaluation.classes, strict=False):
            yield f"recall of {label}", rates.recall
        for other, leads in evaluation.leads.items():
            for name, lead in leads.items():
                yield f"{name} lead over {other}", lead
    yield from map(_bias, _estimates(evidence, crossed=False))


def _estimates(evidence: Evidence, *, crossed: bool) -> Iterator[BiasEstimate]:
    if not isinstance(evidence.estimates, Missing):
        yield from (item for item in evidence.estimates if item.is_intersection == crossed)


def _bias(item: BiasEstimate) -> tuple[str, Value]:
    """Names the number of simultaneous intervals, since only equal ones are comparable."""
    name = f"{item.metric} {item.subgroup}" + (f", {item.looks} looks" if item.looks > 1 else "")
    if item.value is None:
        return name, f"undefined: {item.error}"
    return name, Estimate(value=item.value, low=item.low, high=item.high)


def _gates(evidence: Evidence) -> Iterator[tuple[str, Value]]:
    for step, verdict in verdicts(evidence).items():
        if isinstance(verdict, Missing):
            yield step, f"no verdict: {verdict.why}"
        else:
            yield verdict.gate, verdict.outcome


def _checks(evidence: Evidence) -> Iterator[tuple[str, Value]]:
    for verdict in known(verdicts(evidence)):
        for check in verdict.checks:
            number = "" if check.value is None else f" at {check.value:.4g}"
            yield f"{verdict.gate}: {check.name}", f"{check.outcome}{number}"


# Parts with many lines and few changes: equal lines are counted, not listed.
_ONLY_DIFFERING = ("settings", "data", "intersections", "checks")
_WIDEST = 44


def diff(left: Path, right: Path, *, home: Path, json_: bool) -> None:
    """Prints two runs' folders side by side.

    Raises:
        InputError: if one of them is not the folder of a run.
    """
    parts = compare(read_evidence(left, home), read_evidence(right, home))
    if json_:
        content = [
            {"part": title, "lines": [asdict(line) | {"differs": line.differs} for line in lines]}
            for title, lines in parts.items()
        ]
        typer.echo(json.dumps(content, indent=2))
        return
    rows = [("", left.name, right.name, "")]
    for title, lines in parts.items():
        differing = sum(line.differs for line in lines)
        rows.append((f"{title}: {differing} of {len(lines)} differ", "", "", ""))
        for line in lines:
            if line.differs or title not in _ONLY_DIFFERING:
                name = f" {'*' if line.differs else ' '} {line.name}"
                rows.append((name, _text(line.left), _text(line.right), _change(line)))
    widths = [max(len(row[column]) for row in rows if row[1]) for column in range(3)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        typer.echo("  ".join((*cells, row[3])).rstrip())


def _change(line: Line) -> str:
    left, right = line.left, line.right
    if left == right or not isinstance(left, Estimate) or not isinstance(right, Estimate):
        return ""
    return "" if left.value is None or right.value is None else f"{right.value - left.value:+.3f}"


def _text(value: Value | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value if len(value) <= _WIDEST else value[: _WIDEST - 1] + "…"
    return value.text


def verify_run(folder: Path, *, home: Path, json_: bool) -> None:
    """Prints a line for each check.

    Raises:
        InputError: if the folder is not that of a run.
        Exit: with 4 if something differs from the record.
    """
    evidence = read_evidence(folder, home)
    database = (home / "mlflow.db").is_file()
    registry = MlflowRegistry(tracking_uri(home)) if database else None
    print(f"verifying run {folder.name}, {evidence.run.status}", file=sys.stderr)
    findings = []
    for finding in verify(evidence, registry=registry):
        findings.append(finding)
        if not json_:
            problem, otherwise = finding.problem, finding.otherwise
            state = "DIFFERS" if problem else "other engine" if otherwise else "as on record"
            typer.echo(f"{state:<12}  {finding.subject}")
            if problem or otherwise:
                typer.echo(f"{'':14}{problem or otherwise}")
    if json_:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    wrong = sum(bool(finding.problem) for finding in findings)
    print(f"{len(findings)} checked, {wrong or 'none'} differ from the record", file=sys.stderr)
    if any(finding.otherwise for finding in findings):
        print(
            "another engine version may judge differently: verify those with the run's own",
            file=sys.stderr,
        )
    if wrong:
        raise typer.Exit(CHECK_FAILED)
