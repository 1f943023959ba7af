"""Verifies a local run offline: every recorded hash, and every verdict from its inputs."""

import math
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from sashiko import __version__
from sashiko.base.files import read_json, sha256_file
from sashiko.bias.gates.estimates import INTERVALS_FILE, BiasEstimate, read_estimates
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check, Verdict, read_verdict
from sashiko.pipeline.definition.definition_records import Definition
from sashiko.pipeline.runner.execute import replay
from sashiko.pipeline.runner.run_record import DataRecord
from sashiko.pipeline.runner.store import Digests
from sashiko.registry.chain import read_provenance
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.report.evidence import Evidence, Missing
from sashiko.report.gate_views import verdicts

# Replayed on another machine, the last places of a number differ.
_TOLERANCE = 1e-6
_MOST_NAMED = 3
_VERSION = re.compile(r":(\d+\.\d+\.\d+)$")
_NUMBERS = ("value", "low", "high")
T = TypeVar("T", Check, BiasEstimate)


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
            judged = [Finding(f"{subject}: {_outcome(replayed)}", differences)]
            judged += _figures(evidence, step, again)
        except InputError as error:
            judged = [Finding(subject, str(error))]
    engine = _engine(definition, step)
    for finding in judged:
        if finding.problem and engine != __version__:
            versions = f"the run is of engine {engine}, but this is {__version__}"
            yield Finding(finding.subject, otherwise=f"{versions}: {finding.problem}")
        else:
            yield finding


def _engine(definition: Definition, name: str) -> str:
    """Returns the version of the engine that ran a step on this machine: its image's tag."""
    step = definition.step(name)
    image = step.arguments.get("AppSpecification", {}).get("ImageUri", "") if step else ""
    version = _VERSION.search(str(image))
    return version[1] if version else __version__


def _figures(evidence: Evidence, step: str, again: Mapping[str, Path]) -> Iterator[Finding]:
    """Checks the bias metrics of a verdict, including ungated intersections."""
    if "intervals" not in again:
        return
    recomputed = read_estimates(again["intervals"] / INTERVALS_FILE)
    subject = f"{step}: {len(recomputed)} bias metrics computed again"
    recorded = evidence.read(step, "intervals", INTERVALS_FILE, read_estimates)
    if isinstance(recorded, Missing):
        yield Finding(subject, recorded.why)
        return
    before, after = (
        {f"{item.stage} {item.metric} {item.subgroup}": item for item in estimates}
        for estimates in (recorded, recomputed)
    )
    exact = BiasEstimate.model_fields.keys() - set(_NUMBERS)
    differing = [
        name
        for name in before | after
        if not (name in before and name in after and _alike(before[name], after[name], exact=exact))
    ]
    names = ", ".join(differing[:_MOST_NAMED])
    more = f" and {len(differing) - _MOST_NAMED} more" if len(differing) > _MOST_NAMED else ""
    yield Finding(subject, f"{names}{more} differ from the record" if differing else "")


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
        elif not _alike(before[name], after[name], exact=("passed", "threshold", "comparison")):
            yield f"check `{name}` is {_format(after[name])}, not {_format(before[name])}"
    if (recorded.passed, recorded.judged) != (verdict.passed, verdict.judged):
        yield f"it is {_outcome(verdict)}, not {_outcome(recorded)} as on record"


def _alike(one: T, other: T, *, exact: Iterable[str]) -> bool:
    """Whether two checks or estimates have the same words and, nearly, the same numbers."""
    if any(getattr(one, key) != getattr(other, key) for key in exact):
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
