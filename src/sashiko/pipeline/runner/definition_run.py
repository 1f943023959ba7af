"""Runs a pipeline definition: checks, locks, runs, and records the run in a folder."""

import re
import shutil
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from types import FrameType, MappingProxyType
from typing import Any

from sashiko.base.files import translate_disk_errors, write_bytes, write_json
from sashiko.errors import InputError
from sashiko.evaluation.gates.closed_gate import GateClosedError
from sashiko.pipeline.definition.definition_records import (
    Definition,
    Step,
    check_expiry,
    parameter_values,
    parse_definition,
)
from sashiko.pipeline.definition.expressions import Context, describe_job, job_name, resolve
from sashiko.pipeline.definition.graph import Graph, build_graph, resolve_steps, up_to
from sashiko.pipeline.definition.job_arguments import image_of, job_arguments, output_uris
from sashiko.pipeline.definition.unchain import unchain
from sashiko.pipeline.runner.code import CodeDigests
from sashiko.pipeline.runner.execute import Executor, StepCache, failure_report
from sashiko.pipeline.runner.local_job import Events, Image, Outcome, make_job
from sashiko.pipeline.runner.process import Processes, StoppedError, usable_cores
from sashiko.pipeline.runner.run_lock import run_lock
from sashiko.pipeline.runner.run_record import (
    RunRecord,
    RunState,
    StepRecord,
    StepStatus,
    View,
    now,
    read_run,
    stamp,
    write_run,
)
from sashiko.pipeline.runner.store import Digests, Store

_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9]){0,63}")
# A local Lambda function: gets the event, and a reader of objects of the local S3 by URI.
Function = Callable[[Mapping[str, Any], Callable[[str], bytes]], object]
_GRACE_SECONDS = 10.0
# Python runs a signal's handler when its main thread next runs bytecode. A signal that arrives just
# before this thread blocks doesn't wake it, so it never blocks for longer than this.
_POLL_SECONDS = 0.2
_DONE = ("succeeded", "cached")
_KILLED: Mapping[str, StepStatus] = MappingProxyType(
    {"running": "interrupted", "waiting": "not_run"}
)


def check_supported(
    definition: Definition,
    *,
    parameters: Mapping[str, Any],
    execution: Mapping[str, str],
    images: Collection[str],
    functions: Collection[str] = (),
) -> None:
    """Checks every step in the order of a run, with the images and functions known here.

    Raises:
        InputError: for the first unsupported value, naming step and path.
    """

    def name_of(step: str) -> str:
        return job_name(execution["PipelineExecutionId"], step)

    writers: dict[str, tuple[str, Step]] = {}
    for step, resolved in resolve_steps(
        definition, parameters=parameters, execution=execution, job_name=name_of
    ):
        where = f"step `{step.name}`"
        if not _NAME.fullmatch(step.name):
            raise InputError(f"{where}: a name is letters, digits and single hyphens")
        used, known, what = step.function, functions, "function for"
        uris: tuple[str, ...] = ()
        if step.is_job:
            arguments = job_arguments(step, resolved)
            used, known, what = image_of(arguments), images, "command for the image"
            uris = output_uris(arguments, job=name_of(step.name))
        if used not in known:
            names = ", ".join(sorted(known)) or "none"
            raise InputError(f"{where}: no local {what} `{used}`; known: {names}")
        check_expiry(step)
        for uri in uris:
            prefix = uri.rstrip("/") + "/"
            for other_prefix, (other_uri, writer) in writers.items():  # each replaces all below it
                if prefix.startswith(other_prefix) or other_prefix.startswith(prefix):
                    raise InputError(
                        f"{where} writes {uri} and step `{writer.name}` writes {other_uri}: one "
                        "would replace the other; give each output its own prefix"
                    )
            writers[prefix] = (uri, step)


@dataclass(kw_only=True)
class Engine:
    """Runs the steps of one definition; only jobs run outside its thread."""

    definition: Definition
    graph: Graph
    executor: Executor
    state: RunState
    images: Mapping[str, Image]
    functions: Mapping[str, Function]  # ARN of a Lambda function -> its local stand-in
    parameters: Mapping[str, Any]
    execution: Mapping[str, str]  # execution variable -> value
    forced: frozenset[str]  # steps that run even if a result is cached
    _descriptions: dict[str, Mapping[str, Any]] = field(default_factory=dict, init=False)
    _in_flight: set[str] = field(default_factory=set, init=False)
    # What jobs and signal handlers want done in this thread; None interrupts the run.
    _inbox: "SimpleQueue[Callable[[], None] | None]" = field(
        default_factory=SimpleQueue, init=False
    )

    def request_stop(self) -> None:
        """Asks the run to stop, from a signal handler; a second time kills it at once."""
        self._inbox.put(None)

    def run(self) -> None:
        """Runs to the end, a failure, a block or an interruption; the state records which.

        Raises:
            Exception: an internal fault, after the running jobs have been stopped.
        """
        workers = ThreadPoolExecutor(max_workers=len(self.definition.steps) or 1)
        try:
            self._advance(workers)
            while self._in_flight:
                message = self._receive()
                (self._interrupt if message is None else message)()
                self._advance(workers)
        except BaseException:
            self.executor.processes.stop(signal.SIGKILL)
            raise
        finally:
            workers.shutdown()

    def _receive(self, *, until: float = float("inf")) -> Callable[[], None] | None:
        """Waits for the next message, which is an interruption if none arrives in time."""
        while time.monotonic() < until:
            with suppress(Empty):
                return self._inbox.get(timeout=_POLL_SECONDS)
        return None

    def _advance(self, workers: ThreadPoolExecutor) -> None:
        """Starts every step that is ready; a job beside a gate starts before that may close.

        A gate is judged after a failure, too: rows that break the contract may fail what runs
        beside their validation, and the gate says which rule they break.
        """
        while calls := self._start_jobs(workers):
            for step, event in calls:
                self._call(step, event)
        if self.state.is_ending and not self.state.is_stopped and not self._judges_soon():
            self.executor.processes.stop_launching()

    def _judges_soon(self) -> bool:
        """Whether a gate waits for jobs alone that are done or under way."""
        done = {step.name for step in self.state.record.steps if step.status in _DONE}
        return any(
            not step.is_job
            and self.state.step(step.name).status == "waiting"
            and done.union(self._in_flight).issuperset(self.graph.waits_for[step.name])
            for step in self.definition.steps
        )

    def _start_jobs(self, workers: ThreadPoolExecutor) -> list[tuple[Step, Any]]:
        """Starts the jobs that are ready, in the graph's order; returns the calls that are."""
        steps = {step.name: step for step in self.definition.steps}
        calls: list[tuple[Step, Any]] = []
        for name in self.graph.order:
            step, status = steps[name], self.state.step(name).status
            awaited = (self.state.step(other).status for other in self.graph.waits_for[name])
            ready = status == "waiting" and name not in self._in_flight
            ending = self.state.is_ending if step.is_job else self.state.is_stopped
            if not ready or ending or not all(item in _DONE for item in awaited):
                continue
            context = Context(self.parameters, self.execution, self._descriptions.__getitem__)
            try:
                resolved = resolve(step.arguments, context, where=f"step `{name}`, Arguments")
            except InputError as error:
                self._fail(name, str(error))
                continue
            if step.is_job:
                self._in_flight.add(name)
                workers.submit(self._work, step, resolved)
            else:
                calls.append((step, resolved))
        return calls

    def _call(self, step: Step, event: Any) -> None:
        """Calls a function in this thread: it reads a few small files only."""
        try:
            self.functions[step.function](event, self._read_object)
        except GateClosedError as closed:
            self.state.change(step.name, status="blocked", reason=closed.summary)
        except InputError as error:
            self._fail(step.name, str(error))
        except Exception as error:  # SageMaker fails the step for any exception
            self._fail(step.name, f"{type(error).__name__}: {error}")
        else:
            self.state.change(step.name, status="succeeded")

    def _work(self, step: Step, resolved: Any) -> None:
        """Runs a job in a worker thread; it reports through the inbox only."""
        name, put, view = step.name, self._inbox.put, self.state.view
        job = job_name(self.execution["PipelineExecutionId"], name)
        result: Outcome | BaseException
        try:
            arguments = job_arguments(step, resolved)
            result = self.executor.run(
                make_job(name, arguments, name=job, images=self.images, resolved=resolved),
                kind=step.type,
                description=describe_job(step.type, name=job, arguments=resolved),
                expires=step.expires if step.cached else None,
                forced=name in self.forced,
                events=Events(
                    started=lambda: put(lambda: self.state.start(name)),
                    line=lambda text: put(lambda: view.line(name, text)),
                    note=lambda text: put(lambda: view.note(f"{name}: {text}")),
                ),
            )
        except BaseException as error:
            result = error
        put(lambda: self._end(name, result))

    def _end(self, name: str, result: Outcome | BaseException) -> None:
        self._in_flight.discard(name)
        if isinstance(result, StoppedError):
            return
        if isinstance(result, InputError):
            self._fail(name, str(result))
        elif isinstance(result, BaseException):
            self._fail(name, f"internal fault: {result!r}")
            raise result
        elif result.status == "failed" and self.state.interrupted:
            self.state.change(name, status="interrupted", inputs=result.inputs)
        elif result.status == "failed":
            self._fail(name, result.reason, inputs=result.inputs)
        else:
            self._descriptions[name] = result.description
            self.state.change(
                name,
                status=result.status,
                job=str(result.description.get(f"{self.state.step(name).type}JobName", "")),
                inputs=result.inputs,
                outputs=result.outputs,
                cached_from=result.cached_from,
            )

    def _fail(self, name: str, reason: str, **changes: Any) -> None:
        self.state.change(name, status="failed", reason=reason, **changes)

    def _interrupt(self) -> None:
        """Stops all jobs; kills those that do not end in time, or on a second interruption."""
        self.state.interrupted = True
        self.executor.processes.stop()
        deadline = time.monotonic() + _GRACE_SECONDS
        while self._in_flight:
            message = self._receive(until=deadline)
            if message is None:
                self.executor.processes.stop(signal.SIGKILL)
                deadline = time.monotonic() + _GRACE_SECONDS
            else:
                message()

    def _read_object(self, uri: str) -> bytes:
        try:
            return self.executor.store.path(uri).read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {uri}: {error.strerror}") from error


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
    processes: Processes | None = None,
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
        processes: starts the steps, in place of new ones on `cores`.

    Raises:
        InputError: before anything has run, if the definition or a parameter is not supported, if
            another run is active in `home`, or if `home` can't be written.
    """
    home = home.resolve()  # jobs run in folders of their own
    start = now()
    arn = f"arn:aws:sagemaker:local:000000000000:pipeline/{pipeline}"
    execution = {
        "PipelineName": pipeline,
        "PipelineArn": arn,
        "PipelineExecutionId": run_id,
        "PipelineExecutionArn": f"{arn}/execution/{run_id}",
        "StartDateTime": stamp(start),
        "CurrentDateTime": stamp(start),
    }
    definition = unchain(parse_definition(value))
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
        folder = home / "runs" / run_id
        with translate_disk_errors(f"cannot make {folder}"):
            folder.mkdir(parents=True)
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
            processes=processes or Processes(cores or usable_cores()),
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
                with suppress(OSError):  # it holds what a failed step left, or was never made
                    (folder / "work").rmdir()
        takes_results = any(step.cached for step in definition.steps)
        _report(record, folder=folder, view=view, takes_results=takes_results)
        return record


def check_step(value: Mapping[str, Any], name: str) -> None:
    """Checks that a definition has a step.

    Raises:
        InputError: if it does not, with its steps.
    """
    _forced_steps(build_graph(unchain(parse_definition(value))), name)


def _forced_steps(graph: Graph, from_step: str | None) -> frozenset[str]:
    if from_step is None:
        return frozenset()
    if from_step not in graph.order:
        known = ", ".join(graph.order)
        raise InputError(f"--from {from_step}: the pipeline has no such step; it has: {known}")
    return graph.downstream(from_step)


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


def _report(record: RunRecord, *, folder: Path, view: View, takes_results: bool) -> None:
    """Tells what stopped the run; `takes_results` of earlier runs makes `--from` worth naming."""
    if record.status == "blocked":
        view.note(f"blocked by {record.reason}")
    for step in record.steps:
        if step.status == "failed":
            command = f"{record.command} --from {step.name}" if takes_results else record.command
            view.note(failure_report(step, run_folder=folder, command=command))
    if record.status == "interrupted":
        view.note(f"run {record.id} was stopped; the same command continues where it stopped")
