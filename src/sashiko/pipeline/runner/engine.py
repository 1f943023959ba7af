"""Schedules the steps of a run and handles their results."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from sashiko.errors import InputError
from sashiko.evaluation.gates.closed_gate import GateClosedError
from sashiko.pipeline.definition.arguments import job_arguments
from sashiko.pipeline.definition.expressions import Context, resolve
from sashiko.pipeline.definition.graph import Graph
from sashiko.pipeline.definition.model import Definition, Step
from sashiko.pipeline.definition.properties import describe_job, job_name
from sashiko.pipeline.runner.execute import Executor
from sashiko.pipeline.runner.jobs import Events, Image, Outcome, make_job
from sashiko.pipeline.runner.process import StoppedError
from sashiko.pipeline.runner.state import RunState

# A local Lambda function: gets the event, and a reader of objects of the local S3 by URI.
Function = Callable[[Mapping[str, Any], Callable[[str], bytes]], object]

_GRACE_SECONDS = 10.0
# Python runs a signal's handler when its main thread next runs bytecode. A signal that arrives just
# before this thread blocks doesn't wake it, so it never blocks for longer than this.
_POLL_SECONDS = 0.2
_DONE = ("succeeded", "cached")


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
                self._handle(self._receive())
                self._advance(workers)
        except BaseException:
            self.executor.processes.kill()
            raise
        finally:
            workers.shutdown()

    def _receive(self, *, until: float = float("inf")) -> Callable[[], None] | None:
        """Waits for the next message, which is an interruption if none arrives in time."""
        while time.monotonic() < until:
            with suppress(Empty):
                return self._inbox.get(timeout=_POLL_SECONDS)
        return None

    def _handle(self, message: Callable[[], None] | None) -> None:
        if message is None:
            self._interrupt()
        else:
            message()

    def _advance(self, workers: ThreadPoolExecutor) -> None:
        """Starts every step that is ready, in the graph's order: what a gate opens comes later."""
        steps = {step.name: step for step in self.definition.steps}
        for name in self.graph.order:
            if self._is_ready(name) and not self.state.is_ending:
                self._begin(steps[name], workers)

    def _is_ready(self, name: str) -> bool:
        if self.state.step(name).status != "waiting" or name in self._in_flight:
            return False
        return all(self.state.step(other).status in _DONE for other in self.graph.waits_for[name])

    def _begin(self, step: Step, workers: ThreadPoolExecutor) -> None:
        context = Context(self.parameters, self.execution, self._descriptions.__getitem__)
        try:
            resolved = resolve(step.arguments, context, where=f"step `{step.name}`, Arguments")
            if step.is_job:
                self._in_flight.add(step.name)
                workers.submit(self._work, step, resolved)
            else:
                self._call(step, resolved)
        except InputError as error:
            self._fail(step.name, str(error))

    def _call(self, step: Step, event: Any) -> None:
        """Calls a function in this thread: it reads a few small files only."""
        try:
            self.functions[step.function](event, self._read_object)
        except GateClosedError as closed:
            self.state.change(step.name, status="blocked", reason=closed.summary)
            self.executor.processes.stop_launching()
        except InputError as error:
            self._fail(step.name, str(error))
        except Exception as error:  # SageMaker fails the step for any exception
            self._fail(step.name, f"{type(error).__name__}: {error}")
        else:
            self.state.change(step.name, status="succeeded")

    def _work(self, step: Step, resolved: Any) -> None:
        """Runs a job in a worker thread; it reports through the inbox only."""
        result: Outcome | BaseException
        try:
            result = self._run_job(step, resolved)
        except BaseException as error:
            result = error
        self._inbox.put(lambda: self._end(step.name, result))

    def _run_job(self, step: Step, resolved: Any) -> Outcome:
        name = job_name(self.execution["PipelineExecutionId"], step.name)
        job = make_job(
            step.name,
            job_arguments(step, resolved),
            name=name,
            images=self.images,
            resolved=resolved,
        )
        events = Events(
            started=lambda: self._inbox.put(lambda: self.state.start(step.name)),
            line=lambda text: self._inbox.put(lambda: self.state.view.line(step.name, text)),
            note=lambda text: self._inbox.put(lambda: self.state.view.note(f"{step.name}: {text}")),
        )
        return self.executor.run(
            job,
            kind=step.type,
            description=describe_job(step.type, name=name, arguments=resolved),
            expires=step.expires if step.cached else None,
            forced=step.name in self.forced,
            events=events,
        )

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
        self.executor.processes.stop_launching()

    def _interrupt(self) -> None:
        """Stops all jobs; kills those that do not end in time, or on a second interruption."""
        self.state.interrupted = True
        self.executor.processes.stop()
        deadline = time.monotonic() + _GRACE_SECONDS
        while self._in_flight:
            message = self._receive(until=deadline)
            if message is None:
                self.executor.processes.kill()
                deadline = time.monotonic() + _GRACE_SECONDS
            else:
                message()

    def _read_object(self, uri: str) -> bytes:
        try:
            return self.executor.store.path(uri).read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {uri}: {error.strerror}") from error
