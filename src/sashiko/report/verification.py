"""Verifies a local run offline: every recorded hash, and every verdict from its inputs."""

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from sashiko.base.files import read_json, sha256_file
from sashiko.bias.gates.estimates import INTERVALS_FILE, BiasEstimate, read_estimates
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check, Verdict, read_verdict
from sashiko.pipeline.definition.definition_records import Definition
from sashiko.pipeline.runner.job_replay import replay
from sashiko.pipeline.runner.run_record import StepRecord
from sashiko.pipeline.runner.store import Digests
from sashiko.registry.chain import read_provenance
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.gate_views import verdicts

# Replayed on another machine, the last places of a number differ.
_TOLERANCE = 1e-6
_MOST_NAMED = 3
_NUMBERS = ("value", "low", "high")
T = TypeVar("T", Check, BiasEstimate)


@dataclass(frozen=True)
class Finding:
    """The result of one check; `problem` is empty if all is as on record."""

    subject: str
    problem: str = ""


def verify(evidence: Evidence, *, registry: MlflowRegistry | None) -> Iterator[Finding]:
    """Verifies a run step by step, without writing or downloading anything.

    Yields:
        A finding per step whose inputs and outputs were hashed, per gate whose verdict was worked
        out again, and one for the registered version.

    Raises:
        InputError: if the run's definition is missing, so that nothing can be worked out again.
    """
    if isinstance(evidence.definition, Missing):
        raise InputError(f"run {evidence.run.id} cannot be verified: {evidence.definition.why}")
    yield from _hashes(evidence)
    yield from _verdicts(evidence, evidence.definition)
    if evidence.run.status == "registered":
        yield _version(evidence, registry)


def _hashes(evidence: Evidence) -> Iterator[Finding]:
    digests = Digests()
    for step in evidence.run.steps:
        if step.status in ("succeeded", "cached") and (step.inputs or step.outputs):
            count = f"{len(step.inputs)} inputs and {len(step.outputs)} outputs"
            problems = "; ".join(_changed(evidence, step, digests))
            yield Finding(f"{step.name}: {count}", problems)


def _changed(evidence: Evidence, step: StepRecord, digests: Digests) -> Iterator[str]:
    ways = (("input", step.inputs, digests.data), ("output", step.outputs, digests.output))
    for way, records, digest in ways:
        for name, record in records.items():
            try:
                sha256 = digest(evidence.store, record.uri)
            except InputError as error:
                yield f"{way} {name} cannot be read: {error}"
                continue
            if sha256 != record.sha256:
                yield (
                    f"{way} {name} ({record.uri}) has sha256 {sha256}, on record is {record.sha256}"
                )


def _verdicts(evidence: Evidence, definition: Definition) -> Iterator[Finding]:
    for step, verdict in verdicts(evidence).items():
        record = evidence.step(step)
        if record is None or record.status not in ("succeeded", "cached"):
            continue
        subject = f"{step}: verdict worked out again"
        if isinstance(verdict, Missing):
            yield Finding(subject, verdict.why)
            continue
        with tempfile.TemporaryDirectory(prefix="sashiko-verify-") as folder:
            try:
                again = replay(
                    evidence.run,
                    definition,
                    step,
                    store=evidence.store,
                    folder=Path(folder).resolve(),
                )
                replayed = read_verdict(again["verdict"])
                figures = tuple(_figures(evidence, step, again))
            except InputError as error:
                yield Finding(subject, str(error))
                continue
        yield Finding(
            f"{subject}: {_outcome(replayed)}", "; ".join(_differences(verdict, replayed))
        )
        yield from figures


def _figures(evidence: Evidence, step: str, again: Mapping[str, Path]) -> Iterator[Finding]:
    """Checks the bias metrics of a verdict, including ungated intersections."""
    if "intervals" not in again:
        return
    recomputed = read_estimates(again["intervals"] / INTERVALS_FILE)
    subject = f"{step}: {len(recomputed)} bias metrics worked out again"
    recorded = evidence.read(step, "intervals", INTERVALS_FILE, read_estimates)
    if isinstance(recorded, Missing):
        yield Finding(subject, recorded.why)
        return
    before, after = _by_name(recorded), _by_name(recomputed)
    exact = BiasEstimate.model_fields.keys() - set(_NUMBERS)
    differing = [
        name
        for name in dict.fromkeys([*before, *after])
        if name not in before
        or name not in after
        or not _alike(before[name], after[name], exact=exact)
    ]
    names = ", ".join(differing[:_MOST_NAMED])
    more = f" and {len(differing) - _MOST_NAMED} more" if len(differing) > _MOST_NAMED else ""
    yield Finding(subject, f"{names}{more} differ from the record" if differing else "")


def _by_name(estimates: Sequence[BiasEstimate]) -> dict[str, BiasEstimate]:
    return {
        f"{estimate.stage} {estimate.metric} {estimate.subgroup}": estimate
        for estimate in estimates
    }


def _outcome(verdict: Verdict) -> str:
    return f"{verdict.outcome}, {len(verdict.checks)} checks" if verdict.judged else verdict.outcome


def _differences(recorded: Verdict, verdict: Verdict) -> Iterator[str]:
    if recorded.inputs != verdict.inputs:
        yield "its inputs have other hashes than on record"
    before = {check.name: check for check in recorded.checks}
    after = {check.name: check for check in verdict.checks}
    for name in dict.fromkeys([*before, *after]):
        if name not in before or name not in after:
            where = "on record" if name in before else "found now"
            yield f"check `{name}` is {where} only"
        elif not _alike(before[name], after[name], exact=("passed", "threshold", "comparison")):
            yield f"check `{name}` is {_format(after[name])}, on record is {_format(before[name])}"
    if (recorded.passed, recorded.judged) != (verdict.passed, verdict.judged):
        yield f"it is {_outcome(verdict)}, on record is {_outcome(recorded)}"


def _alike(one: T, other: T, *, exact: Iterable[str]) -> bool:
    """Whether two checks or estimates have the same words and, nearly, the same numbers."""
    return all(getattr(one, key) == getattr(other, key) for key in exact) and all(
        _close(getattr(one, key), getattr(other, key)) for key in _NUMBERS
    )


def _close(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


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
