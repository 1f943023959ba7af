"""Compares two runs: settings, data, metrics with their intervals, gates."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.gate_views import known, verdicts

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


@dataclass(frozen=True)
class Part:
    """The lines of one kind, in the first run's order, then those of the second run only."""

    title: str
    lines: tuple[Line, ...]


def compare(left: Evidence, right: Evidence) -> tuple[Part, ...]:
    """Compares two runs."""
    readers = {
        "run": _run,
        "settings": _settings,
        "data": _data,
        "metrics": _metrics,
        "intersections": lambda run: map(_bias, _estimates(run, crossed=True)),
        "gates": _gates,
        "checks": _checks,
    }
    parts = []
    for title, read in readers.items():
        one, other = dict(read(left)), dict(read(right))
        lines = (Line(name, one.get(name), other.get(name)) for name in one | other)
        parts.append(Part(title, tuple(lines)))
    return tuple(parts)


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
            yield f"{step} rows", f"{manifest.rows:,}"
            yield f"{step} sha256", manifest.sha256
    evaluation = evidence.evaluation
    if not isinstance(evaluation, Missing):
        for name, split in evaluation.splits.items():
            yield f"{name} split", str(split)


def _metrics(evidence: Evidence) -> Iterator[tuple[str, Value]]:
    evaluation = evidence.evaluation
    if not isinstance(evaluation, Missing):
        yield "threshold", f"{evaluation.threshold:.3f}"
        yield from evaluation.gateable.items()
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
