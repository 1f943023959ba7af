"""A selective execution: the deployed pipeline from a step on, on the results of an earlier one.

"Selective execution of pipeline steps" (Amazon SageMaker AI Developer Guide) and
`SelectiveExecutionConfig` of SageMaker's API: the selected steps are connected, with every step on
a path between two of them; the source is an execution of the same pipeline that succeeded or
failed. The other steps have the source's properties, such as the URIs of their outputs. Parameters
are not taken over, and nothing says that SageMaker compares the definitions, or asks for the
success of a step that is waited for and not read, as a gate is. So both are checked here.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sashiko.errors import InputError
from sashiko.pipeline.cloud.executions import Execution, Executions
from sashiko.pipeline.definition.definition_records import Definition, Step
from sashiko.pipeline.definition.graph import build_graph, resolved_steps
from sashiko.pipeline.definition.unchain import part_names
from sashiko.pipeline.runner.run_record import RunRecord

_AS_OF = "AsOf"
_NEWEST = 20  # executions that are looked at; each one takes several calls
_DONE = ("succeeded", "cached")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The steps of a selective execution, in the definition's order."""

    steps: tuple[str, ...]  # that run
    upstream: tuple[str, ...]  # that these wait for, directly or not; their results are reused


def selective_request(
    search: "SourceSearch", from_step: str, *, source: str | None, as_of: str | None
) -> tuple[Mapping[str, Any], str | None]:
    """Returns what a start from a step adds to StartPipelineExecution, and the data's version.

    The source is the execution of that id, or the newest that fits, also its version `as_of` if one
    is given. Nothing is added where every step runs again.

    Raises:
        InputError: if there is no such step, or no execution fits.
    """
    selection = select_steps(search.definition, from_step)
    if not selection.upstream:
        return {}, as_of
    execution, version = search.find(selection.upstream, run=source, as_of=as_of)
    _say(f"on data of version {version}; run again: {', '.join(selection.steps)}")
    _say(f"results of execution {execution.id}: {', '.join(selection.upstream)}")
    request = {
        "PipelineExecutionDescription": f"From {from_step}, on results of execution {execution.id}",
        "SelectiveExecutionConfig": {
            "SourcePipelineExecutionArn": execution.arn,
            "SelectedSteps": [{"StepName": name} for name in selection.steps],
        },
    }
    return request, version


def select_steps(definition: Definition, name: str) -> Selection:
    """Selects a step, or the job of a part, and all that wait for it, directly or not.

    A job that no execution takes from the cache runs again, too, where every step that waits for it
    does: so the champion is resolved again for an evaluation that runs again.

    Raises:
        InputError: if there is no such step or part.
    """
    graph = build_graph(definition)
    parts = {part: step.name for step in definition.steps for part in part_names(step)}
    start = parts.get(name, name)
    if start not in graph.order:
        known = ", ".join((*graph.order, *parts))
        raise InputError(f"--from {name}: the pipeline has no such step; it has: {known}")
    if start != name:
        first = next(part for part, job in parts.items() if job == start)
        _say(f"{name} is a part of {start}, which starts again from {first}")
    names = set(graph.downstream(start))
    for step in reversed(definition.steps):
        waiting = {other for other, needs in graph.waits_for.items() if step.name in needs}
        if step.is_job and not step.cached and waiting and waiting <= names:
            names.add(step.name)
    upstream = graph.upstream(names) - names
    return Selection(
        steps=tuple(step.name for step in definition.steps if step.name in names),
        upstream=tuple(step.name for step in definition.steps if step.name in upstream),
    )


@dataclass(frozen=True, kw_only=True)
class SourceSearch:
    """Finds an execution whose results the deployed pipeline can reuse."""

    executions: Executions
    definition: Definition  # the deployed one

    def find(
        self, steps: Sequence[str], *, run: str | None, as_of: str | None
    ) -> tuple[Execution, str]:
        """Finds the newest execution with results of these steps, or checks the one of an id.

        Newer ones are passed over with a word, but not one that a gate has blocked: an older result
        in its place would be a surprise.

        Returns:
            The execution, and the version of its data.

        Raises:
            InputError: if none fits; names execution, step and reason.
        """
        reasons: list[str] = []
        for execution in [self.executions.find(run)] if run else self.executions.newest(_NEWEST):
            record = execution.record()
            problem = self._problem(execution, record, steps, as_of)
            if not problem:
                return execution, str(record.parameters[_AS_OF])
            same_data = as_of in (None, record.parameters.get(_AS_OF))
            if run or (record.status == "blocked" and same_data):
                raise InputError(f"execution {record.id} cannot be the source: {problem}")
            _say(f"passed over execution {record.id}: {problem}")
            reasons.append(f"\n  - {record.id}: {problem}")
        raise InputError(
            f"no execution of {self.executions.pipeline} has the results that are to be reused "
            f"({', '.join(steps)}); start a full one, without --from{''.join(reasons)}"
        )

    def _problem(
        self, execution: Execution, record: RunRecord, steps: Sequence[str], as_of: str | None
    ) -> str:
        """Returns why an execution cannot be the source; empty if it can."""
        if record.status in ("running", "interrupted"):
            state = "is running" if record.status == "running" else "was stopped"
            return f"it {state}; SageMaker takes the results of one that succeeded or failed"
        version = record.parameters.get(_AS_OF)
        if version is None or as_of not in (None, version):
            return f"its data are of version {version}"
        known = {step.name: step for step in record.steps}
        for name in steps:
            step = known.get(name)
            if step is None:
                return f"it has no step {name}: start from there, or earlier"
            if step.status not in _DONE:
                reason = f": {step.reason}" if step.reason else ""
                return f"step {name} is {step.status}{reason}; start from there, or earlier"
        return self._changes(execution.definition, record.parameters, steps)

    def _changes(
        self, definition: Definition, parameters: Mapping[str, Any], steps: Sequence[str]
    ) -> str:
        """Returns what has changed in a step since it ran; empty if nothing has.

        Execution and jobs have no names here: what follows from them is no change.
        """
        try:
            before = _requests(definition, parameters)
        except InputError as error:  # this version of the engine cannot read it
            return f"its definition cannot be compared: {error}"
        now = _requests(self.definition, {_AS_OF: parameters[_AS_OF]})
        for name in steps:
            if name not in before:
                return f"its definition, as far as this engine reads it, has no step {name}"
            (step, arguments), (new, new_arguments) = before[name], now[name]
            keys = sorted({*arguments, *new_arguments})
            changes = [key for key in keys if arguments.get(key) != new_arguments.get(key)]
            if changes or (step.type, step.function) != (new.type, new.function):
                what = ", ".join(changes) or "Type"
                return f"step {name} has changed since ({what}); start from there, or earlier"
        return ""


def _requests(
    definition: Definition, values: Mapping[str, Any]
) -> Mapping[str, tuple[Step, Mapping[str, Any]]]:
    return {step.name: (step, request) for step, request in resolved_steps(definition, values)}


def _say(text: str) -> None:
    print(text, file=sys.stderr)
