"""`sashiko run` on this machine: the run, its report and its summary."""

import sys
from collections.abc import Iterator
from pathlib import Path

from sashiko.base.files import read_json, walk_files
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Verdict, describe, describe_number, read_verdict
from sashiko.pipeline.local_run import run_pipeline
from sashiko.pipeline.runner.run_record import RunRecord
from sashiko.pipeline.runner.store import Store
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe


def run_locally(
    settings: Settings,
    recipe: Recipe,
    *,
    home: Path,
    from_step: str | None,
    command: str,
    with_rows: bool = False,
    as_of: str | None = None,
) -> tuple[RunRecord, str]:
    """Runs a recipe's pipeline on this machine, end to end, and writes its report.

    Returns:
        The run, step by step, and for stdout its outcome and the next step in a few lines.

    Raises:
        InputError: if the contract, the data, the weights or the machine do not allow a run.
    """
    from sashiko.run_report import write_report

    record = run_pipeline(
        settings, recipe, home=home, from_step=from_step, command=command, as_of=as_of
    )
    print("writing the report", file=sys.stderr)
    report = None  # a failure to write it does not change the outcome of the run
    try:
        report = write_report(home / "runs" / record.id, home, with_rows=with_rows)
    except InputError as error:
        print(f"no report: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("no report: interrupted; `sashiko runs report` writes it", file=sys.stderr)
    return record, summary(record, Store((home / "s3").resolve()), report)


def summary(record: RunRecord, store: Store, report: Path | None) -> str:
    """Returns the outcome of a run and the next step in a few lines."""
    verdicts = list(_verdicts(record, store))
    lines, last = [f"{record.status}: run {record.id}"], []
    if record.status == "registered":
        lines += [f"FAILED: {describe(check)}" for verdict in verdicts for check in verdict.waived]
        version, *last = _registered(record, store)
        lines.append(version)
    elif record.reason:
        lines.append(record.reason)
    checks = [(verdict.gate, check) for verdict in verdicts for check in verdict.checks]
    for gate, check in checks:
        if not check.judged:
            lines.append(f"not judged: {gate}: {check.name}: {check.reason}")
        if check.spans_bound:
            lines.append(
                f"passed, but its interval spans the bound: {gate}: {describe_number(check)}"
            )
    return "\n".join([*lines, *([f"report: {report}"] if report else []), *last])


def _verdicts(record: RunRecord, store: Store) -> Iterator[Verdict]:
    """Yields the gates' verdicts with waivers."""
    for step in record.steps:
        if step.name in ("Track", "DeviceCheck") and "verdicts" in step.outputs:
            yield from map(read_verdict, walk_files(store.path(step.outputs["verdicts"].uri)))


def _registered(record: RunRecord, store: Store) -> Iterator[str]:
    """Yields the version and its status, then the commands of the decision that it waits for."""
    output = record.step("Register").outputs["registration"]
    path = store.path(output.uri) / "registration.json"
    registration = read_json(path)
    try:
        group, version = registration["model_package_group"], registration["version"]
        new, status = registration["new"], registration["status"]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path} is not a registration: {error}") from error
    known = "" if new else "; it holds this artifact already, so nothing new was registered"
    yield f"{group} version {version}, {status}{known}"
    if status == "PendingManualApproval":
        options = record.options("--recipe", "--home")
        yield "waits for your decision: read the report, then run one of"
        yield from (
            f"  sashiko model {verb} {version}{options} --reason '...'"
            for verb in ("approve", "reject")
        )
