"""Schedules the steps of a run and handles their results."""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any

from sashiko.aws.functions.closed_gate import GateClosedError
from sashiko.errors import InputError
from sashiko.pipeline.definition.arguments import job_arguments
from sashiko.pipeline.definition.expressions import Context, resolve
from sashiko.pipeline.definition.graph import Graph
from sashiko.pipeline.definition.model import Definition, Step
from sashiko.pipeline.definition.properties import describe_job, job_name
from sashiko.pipeline.runner.execute import Executor
from sashiko.pipeline.runner.jobs import Image, make_job
from sashiko.pipeline.runner.messages import Events, Interrupted, JobEnded, Message, Outcome
from sashiko.pipeline.runner.process import StoppedError
from sashiko.pipeline.runner.state import RunState

# A local Lambda function: gets the event, and a reader of objects of the local S3 by URI.
Function = Callable[[Mapping[str, Any], Callable[[str], bytes]], object]

_GRACE_SECONDS = 10.0
_DONE = ("succeeded", "cached")


class Engine:
    """Runs the steps of one definition; only jobs run outside its thread."""

    def __init__(
        self,
        definition: Definition,
        graph: Graph,
        *,
        executor: Executor,
        state: RunState,
        images: Mapping[str, Image],
        functions: Mapping[str, Function],
        parameters: Mapping[str, Any],
        execution: Mapping[str, str],
        forced: frozenset[str],
        inbox: "SimpleQueue[Message]",
    ) -> None:
        """Sets up a run; `inbox` gets the messages of jobs and of signal handlers."""
        self._steps = {step.name: step for step in definition.steps}
        self._graph = graph
        self._executor = executor
        self._state = state
        self._images = images
        self._functions = functions
        self._execution = execution
        self._forced = forced
        self._inbox = inbox
        self._descriptions: dict[str, Mapping[str, Any]] = {}
        self._in_flight: set[str] = set()
        self._context = Context(
            parameters=parameters,
            execution=execution,
            describe=self._descriptions.__getitem__,
        )

    def run(self) -> None:
        """Runs to the end, a failure, a block or an interruption; the state records which.

        Raises:
            Exception: an internal fault, after the running jobs have been stopped.
        """
        workers = ThreadPoolExecutor(max_workers=len(self._steps) or 1)
        try:
            self._advance(workers)
            while self._in_flight:
                self._handle(self._inbox.get())
                self._advance(workers)
        except BaseException:
            self._executor.processes.kill()
            raise
        finally:
            workers.shutdown()

    def _handle(self, message: Message) -> None:
        if isinstance(message, Interrupted):
            self._interrupt()
        elif isinstance(message, JobEnded):
            self._end(message)
        else:
            message()

    def _advance(self, workers: ThreadPoolExecutor) -> None:
        """Starts every step that is ready, in the graph's order: what a gate opens comes later."""
        for name in self._graph.order:
            if self._is_ready(name) and not self._state.is_ending:
                self._begin(self._steps[name], workers)

    def _is_ready(self, name: str) -> bool:
        if self._state.step(name).status != "waiting" or name in self._in_flight:
            return False
        return all(self._state.step(other).status in _DONE for other in self._graph.waits_for[name])

    def _begin(self, step: Step, workers: ThreadPoolExecutor) -> None:
        where = f"step `{step.name}`, Arguments"
        try:
            resolved = resolve(step.arguments, self._context, where=where)
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
            self._functions[step.function](event, self._read_object)
        except GateClosedError as closed:
            self._state.change(step.name, status="blocked", reason=closed.summary)
            self._executor.processes.stop_launching()
        except InputError as error:
            self._fail(step.name, str(error))
        except Exception as error:  # SageMaker fails the step for any exception
            self._fail(step.name, f"{type(error).__name__}: {error}")
        else:
            self._state.change(step.name, status="succeeded")

    def _work(self, step: Step, resolved: Any) -> None:
        """Runs a job in a worker thread; it reports through the inbox only."""
        try:
            self._inbox.put(JobEnded(step.name, self._run_job(step, resolved)))
        except BaseException as error:
            self._inbox.put(JobEnded(step.name, error))

    def _run_job(self, step: Step, resolved: Any) -> Outcome:
        name = job_name(self._execution["PipelineExecutionId"], step.name)
        job = make_job(
            step.name,
            job_arguments(step, resolved),
            name=name,
            images=self._images,
            resolved=resolved,
        )
        events = Events(
            started=lambda: self._inbox.put(lambda: self._state.start(step.name)),
            line=lambda text: self._inbox.put(lambda: self._state.view.line(step.name, text)),
            note=lambda text: self._inbox.put(
                lambda: self._state.view.note(f"{step.name}: {text}")
            ),
        )
        return self._executor.run(
            job,
            kind=step.type,
            description=describe_job(step.type, name=name, arguments=resolved),
            expires=step.expires if step.cached else None,
            forced=step.name in self._forced,
            events=events,
        )

    def _end(self, message: JobEnded) -> None:
        name, result = message.step, message.result
        self._in_flight.discard(name)
        if isinstance(result, StoppedError):
            return
        if isinstance(result, InputError):
            self._fail(name, str(result))
        elif isinstance(result, BaseException):
            self._fail(name, f"internal fault: {result!r}")
            raise result
        elif result.status == "failed" and self._state.interrupted:
            self._state.change(name, status="interrupted", inputs=result.inputs)
        elif result.status == "failed":
            self._fail(name, result.reason, inputs=result.inputs)
        else:
            self._descriptions[name] = result.description
            self._state.change(
                name,
                status=result.status,
                job=str(result.description.get(f"{self._state.step(name).type}JobName", "")),
                inputs=result.inputs,
                outputs=result.outputs,
                cached_from=result.cached_from,
            )

    def _fail(self, name: str, reason: str, **changes: Any) -> None:
        self._state.change(name, status="failed", reason=reason, **changes)
        self._executor.processes.stop_launching()

    def _interrupt(self) -> None:
        """Stops all jobs; kills those that do not end in time, or on a second interruption."""
        self._state.interrupt()
        self._executor.processes.stop()
        deadline = time.monotonic() + _GRACE_SECONDS
        while self._in_flight:
            try:
                message = self._inbox.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                message = Interrupted()
            if isinstance(message, Interrupted):
                self._executor.processes.kill()
                deadline = time.monotonic() + _GRACE_SECONDS
            else:
                self._handle(message)

    def _read_object(self, uri: str) -> bytes:
        try:
            return self._executor.store.path(uri).read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {uri}: {error.strerror}") from error
