"""Runs a pipeline definition: checks, locks, runs, and records the run in a folder."""

import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import Any

from sashiko.base.files import write_bytes, write_json
from sashiko.errors import InputError
from sashiko.pipeline.definition.graph import Graph, build_graph, up_to
from sashiko.pipeline.definition.model import parse_definition
from sashiko.pipeline.definition.parameters import parameter_values
from sashiko.pipeline.definition.supported import check_supported
from sashiko.pipeline.runner.cache import StepCache
from sashiko.pipeline.runner.code import CodeDigests
from sashiko.pipeline.runner.digests import Digests
from sashiko.pipeline.runner.disk import translate_disk_errors
from sashiko.pipeline.runner.engine import Engine, Function
from sashiko.pipeline.runner.execute import Executor
from sashiko.pipeline.runner.failure import failure_report
from sashiko.pipeline.runner.jobs import Image
from sashiko.pipeline.runner.lock import run_lock
from sashiko.pipeline.runner.process import Processes
from sashiko.pipeline.runner.record import (
    RunRecord,
    StepRecord,
    StepStatus,
    now,
    read_run,
    stamp,
    write_run,
)
from sashiko.pipeline.runner.state import RunState
from sashiko.pipeline.runner.store import Store
from sashiko.pipeline.runner.view import View

_KILLED: Mapping[str, StepStatus] = MappingProxyType(
    {"running": "interrupted", "waiting": "not_run"}
)


def run_definition(
    value: Mapping[str, Any],
    *,
    home: Path,
    images: Mapping[str, Image],
    parameters: Mapping[str, str],
    pipeline: str,
    run_id: str,
    view: View,
    functions: Mapping[str, Function] = MappingProxyType({}),
    evidence: Mapping[str, bytes] | None = None,
    from_step: str | None = None,
    until: str | None = None,
    command: str = "sashiko run",
    cores: int | None = None,
) -> RunRecord:
    """Runs a definition on this machine and returns the record, as written to `run.json`.

    Args:
        value: the definition's JSON value.
        home: folder of the local state: `s3/`, `runs/`, `cache/`.
        images: image URI -> its local stand-in.
        parameters: parameter name -> text.
        pipeline: the pipeline's name, which is not part of a definition.
        run_id: a new id, from `new_run_id`.
        view: shows the progress.
        functions: ARN of a Lambda function -> its local stand-in.
        evidence: files to write before the first step, so that a killed run has them too: path
            below `evidence/` -> content.
        from_step: run this step and all downstream steps even if they are cached.
        until: run only this step and its upstream steps; the whole definition if None.
        command: the command line that repeats the run, for the record.
        cores: the number of steps to run in parallel; the machine's cores if None.

    Raises:
        InputError: before anything has run, if the definition or a parameter is not supported, if
            another run is active in `home`, or if `home` can't be written.
    """
    home = home.resolve()  # jobs run in folders of their own
    start = now()
    execution = {
        "PipelineName": pipeline,
        "PipelineArn": f"arn:aws:sagemaker:local:000000000000:pipeline/{pipeline}",
        "PipelineExecutionId": run_id,
        "PipelineExecutionArn": (
            f"arn:aws:sagemaker:local:000000000000:pipeline/{pipeline}/execution/{run_id}"
        ),
        "StartDateTime": stamp(start),
        "CurrentDateTime": stamp(start),
    }
    definition = parse_definition(value)
    if until is not None:
        definition = up_to(definition, until)
    values = parameter_values(definition.parameters, parameters)
    graph = build_graph(definition)
    check_supported(
        definition,
        parameters=values,
        execution=execution,
        images=set(images),
        functions=set(functions),
    )
    forced = _forced_steps(graph, from_step)

    with run_lock(home, run_id):
        _mark_killed_runs(home)
        store = Store(home / "s3")
        store.clear_incoming()
        folder = _new_folder(home, run_id)
        write_json(folder / "definition.json", value)
        for name, content in (evidence or {}).items():
            write_bytes(folder / "evidence" / name, content)
        record = RunRecord(
            id=run_id,
            pipeline=pipeline,
            start=stamp(start),
            from_step=from_step or "",
            until=until or "",
            command=command,
            parameters=values,
            steps=tuple(StepRecord(name=step.name, type=step.type) for step in definition.steps),
        )
        state = RunState(record, folder=folder, view=view)
        executor = Executor(
            run_id=run_id,
            run_folder=folder,
            store=store,
            digests=Digests(),
            code=CodeDigests(),
            cache=StepCache(home / "cache" / "steps"),
            checkpoint_keys=home / "cache" / "checkpoints",
            processes=Processes(cores or _usable_cores()),
        )
        engine = Engine(
            definition=definition,
            graph=graph,
            executor=executor,
            state=state,
            images=images,
            functions=functions,
            parameters=values,
            execution=execution,
            forced=forced,
        )
        with _signals_to(engine.request_stop):
            try:
                engine.run()
            finally:
                record = state.finish()
                _remove_empty(folder / "work")
        takes_results = any(step.cached for step in definition.steps)
        _report(record, folder=folder, view=view, takes_results=takes_results)
        return record


def check_step(value: Mapping[str, Any], name: str) -> None:
    """Checks that a definition has a step.

    Raises:
        InputError: if it does not, with its steps.
    """
    _forced_steps(build_graph(parse_definition(value)), name)


def _forced_steps(graph: Graph, from_step: str | None) -> frozenset[str]:
    if from_step is None:
        return frozenset()
    if from_step not in graph.order:
        known = ", ".join(graph.order)
        raise InputError(f"--from {from_step}: the pipeline has no such step; it has: {known}")
    return graph.downstream(from_step)


def _new_folder(home: Path, run_id: str) -> Path:
    folder = home / "runs" / run_id
    with translate_disk_errors(f"cannot make {folder}"):
        folder.mkdir(parents=True)
    return folder


def _mark_killed_runs(home: Path) -> None:
    """Marks killed runs as interrupted, since they could not write that themselves."""
    for folder in sorted(path.parent for path in (home / "runs").glob("*/run.json")):
        with suppress(InputError):  # ignore records of other versions
            record = read_run(folder)
            if record.status != "running":
                continue
            steps = tuple(
                step.model_copy(update={"status": _KILLED.get(step.status, step.status)})
                for step in record.steps
            )
            changes = {"status": "interrupted", "reason": "killed", "steps": steps}
            write_run(folder, record.model_copy(update=changes))
            shutil.rmtree(folder / "work", ignore_errors=True)


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _signals_to(request_stop: Callable[[], None]) -> Iterator[None]:
    """Passes on Ctrl-C and SIGTERM; only a program's main thread gets signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        request_stop()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _remove_empty(work: Path) -> None:
    with suppress(OSError):  # it holds what a failed step left, or was never made
        work.rmdir()


def _report(record: RunRecord, *, folder: Path, view: View, takes_results: bool) -> None:
    """Tells what stopped the run; `takes_results` of earlier runs makes `--from` worth naming."""
    if record.status == "blocked":
        view.note(f"blocked by {record.reason}")
    for step in record.steps:
        if step.status == "failed":
            command = f"{record.command} --from {step.name}" if takes_results else record.command
            view.note(failure_report(step, run_folder=folder, command=command))
    if record.status == "interrupted":
        view.note(f"run {record.id} was stopped; the same command takes up where it left off")
