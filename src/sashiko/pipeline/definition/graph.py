"""The dependency graph of steps: DependsOn, and references inside arguments."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Definition, Step
from sashiko.pipeline.definition.expressions import (
    Context,
    as_text,
    describe_job,
    resolve,
    step_references,
)


@dataclass(frozen=True)
class Graph:
    """The dependencies of a definition."""

    # Step name -> names of the steps that must end before it starts.
    waits_for: Mapping[str, tuple[str, ...]]
    order: tuple[str, ...]  # the steps' names in topological order

    def downstream(self, name: str) -> frozenset[str]:
        """Returns the names of a step and of all steps that wait for it, directly or not."""
        names = {name}
        for step in self.order:
            if names.intersection(self.waits_for[step]):
                names.add(step)
        return frozenset(names)

    def upstream(self, names: Iterable[str]) -> frozenset[str]:
        """Returns the names of steps and of all that they wait for, directly or not."""
        needed = set(names)
        for step in reversed(self.order):
            if step in needed:
                needed.update(self.waits_for[step])
        return frozenset(needed)


def check_gates(definition: Definition) -> None:
    """Checks that each gate reads something and that a step waits for it.

    Another one would stop nothing: the run goes on beside it.

    Raises:
        InputError: one line per gate and problem.
    """
    awaited = {name for step in definition.steps for name in step.depends_on}
    lines = []
    for gate in (step for step in definition.steps if not step.is_job):
        where = f"step `{gate.name}`"
        if not gate.arguments:
            lines.append(f"{where}, Arguments: a gate without arguments judges nothing: name files")
        if gate.name not in awaited:
            lines.append(
                f"{where}: no step depends on it, so a refusal stops nothing: add it to the "
                "DependsOn of the steps that it guards"
            )
    if lines:
        raise InputError("\n".join(lines))


def build_graph(definition: Definition) -> Graph:
    """Builds the dependency graph of a definition.

    Raises:
        InputError: for a cycle, and for a reference to a step that does not exist or has no
            properties.
    """
    waits_for: dict[str, tuple[str, ...]] = {}
    for step in definition.steps:
        names = [target.name for target in awaited_steps(step, definition)]
        for name, where in step_references(step.arguments, where=f"step `{step.name}`, Arguments"):
            names.append(referred_step(name, definition, where=where).name)
        waits_for[step.name] = tuple(dict.fromkeys(names))
    order: list[str] = []
    remaining = dict(waits_for)
    while remaining:
        ready = [name for name, needs in remaining.items() if not set(needs) & set(remaining)]
        if not ready:
            path = [next(iter(remaining))]
            while path.count(path[-1]) == 1:
                path.append(next(name for name in remaining[path[-1]] if name in remaining))
            cycle = " -> ".join(path[path.index(path[-1]) :])
            raise InputError(f"definition: steps wait for each other: {cycle}")
        order += ready
        for name in ready:
            del remaining[name]
    return Graph(waits_for=waits_for, order=tuple(order))


def longest_path(definition: Definition) -> tuple[str, ...]:
    """Returns the jobs of the longest path: how often a run waits for a machine, one after another.

    A path is a sequence of jobs of SageMaker, each of which waits for the one before it, directly
    or by steps that are no jobs. A gate starts no machine and does not count; a chain is one job,
    however many steps it runs; and a job counts once, on however many instances. Of several longest
    paths it is the one that ends last in the definition.

    Raises:
        InputError: as `build_graph`.
    """
    graph, paths = build_graph(definition), dict[str, tuple[str, ...]]()
    jobs = {step.name for step in definition.steps if step.is_job}
    for name in graph.order:
        before = max((paths[other] for other in graph.waits_for[name]), key=len, default=())
        paths[name] = (*before, name) if name in jobs else before
    ends = [paths[step.name] for step in reversed(definition.steps)]
    return max(ends, key=len, default=())


def up_to(definition: Definition, names: str) -> Definition:
    """Returns the definition up to a step, or several with commas: these and all they wait for.

    Raises:
        InputError: as `build_graph`, and if there is no such step.
    """
    graph = build_graph(definition)
    needed = set(names.split(","))
    for name in needed.difference(graph.order):
        raise InputError(f"the pipeline has no step `{name}`; it has: {', '.join(graph.order)}")
    needed |= graph.upstream(needed)
    steps = (step for step in definition.steps if step.name in needed)
    return replace(definition, steps=tuple(steps))


def referred_step(name: str, definition: Definition, *, where: str) -> Step:
    """Returns the step that a reference names.

    Raises:
        InputError: if it does not exist, or has no properties.
    """
    target = _known_step(name, definition, where=where)
    if not target.is_job:
        raise InputError(f"{where}: `{name}` is a {target.type} step, which has no properties")
    return target


def awaited_steps(step: Step, definition: Definition) -> tuple[Step, ...]:
    """Returns the steps in DependsOn.

    Raises:
        InputError: if a step does not exist.
    """
    return tuple(
        _known_step(name, definition, where=f"step `{step.name}`, DependsOn[{index}]")
        for index, name in enumerate(step.depends_on)
    )


def _known_step(name: str, definition: Definition, *, where: str) -> Step:
    target = definition.step(name)
    if target is None:
        known = ", ".join(other.name for other in definition.steps)
        raise InputError(f"{where}: no step is named `{name}`; there is: {known}")
    return target


UNKNOWN = "*"
# These differ between executions.
_EXECUTION = ("PipelineExecutionId", "PipelineExecutionArn", "StartDateTime", "CurrentDateTime")


def resolve_steps(
    definition: Definition,
    *,
    parameters: Mapping[str, Any],
    execution: Mapping[str, str],
    job_name: Callable[[str], str],
) -> Iterator[tuple[Step, Mapping[str, Any]]]:
    """Yields each step with its arguments; a job's properties follow from its arguments.

    Raises:
        InputError: if the definition's references are wrong.
    """
    descriptions: dict[str, Mapping[str, Any]] = {}
    context = Context(parameters, execution, describe=descriptions.__getitem__)
    steps = {step.name: step for step in definition.steps}
    for name in build_graph(definition).order:
        step = steps[name]
        where = f"step `{name}`, Arguments"
        resolved = resolve(step.arguments, context, where=where)
        if not isinstance(resolved, dict):
            raise InputError(f"{where}: expected an object, got {type(resolved).__name__}")
        if step.is_job:
            descriptions[name] = describe_job(step.type, name=job_name(name), arguments=resolved)
        yield step, resolved


def resolved_steps(
    definition: Definition, values: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[tuple[Step, Mapping[str, Any]]]:
    """Yields each step with its arguments as known before a run: values of a run become `*`.

    Parameters have their `values`, else their default values, and `*` without one.

    Raises:
        InputError: if the definition's references are wrong.
    """
    return resolve_steps(
        definition,
        parameters={
            item.name: UNKNOWN
            if (value := values.get(item.name, item.default)) is None
            else as_text(value, where=f"parameter `{item.name}`")
            for item in definition.parameters
        },
        execution=dict.fromkeys(_EXECUTION, UNKNOWN),
        job_name=lambda _step: UNKNOWN,
    )


@dataclass(frozen=True)
class JobObjects:
    """The S3 URIs of one job's request, with `*` for values that are known at run time only."""

    step: str
    role: str
    reads: tuple[str, ...]  # its inputs, and its checkpoints, from which an interrupted job resumes
    writes: tuple[str, ...]
    # URIs in its container arguments, which other principals may read or write, by the argument
    # before each, such as `--test-uri`.
    arguments: Mapping[str, str]


def job_objects(definition: Definition) -> tuple[JobObjects, ...]:
    """Returns the S3 URIs of each job of a definition.

    Raises:
        InputError: if the definition's references are wrong.
    """
    jobs = []
    for step, arguments in resolved_steps(definition):
        if not step.is_job:
            continue
        inputs = [item.get("S3Input") for item in arguments.get("ProcessingInputs", ())]
        channels = arguments.get("InputDataConfig", ())
        inputs += [channel["DataSource"]["S3DataSource"] for channel in channels]
        outputs = arguments.get("ProcessingOutputConfig", {}).get("Outputs", ())
        model = arguments.get("OutputDataConfig", {}).get("S3OutputPath")
        written = [*(item["S3Output"]["S3Uri"] for item in outputs), model]
        checkpoints = arguments.get("CheckpointConfig", {}).get("S3Uri")
        words = arguments.get("AppSpecification", {}).get("ContainerArguments", ())
        named = {str(name): uri for name, word in pairwise(words) for uri in _uris([word])}
        jobs.append(
            JobObjects(
                step=step.name,
                role=str(arguments["RoleArn"]),
                reads=tuple(_uris([*(item["S3Uri"] for item in inputs if item), checkpoints])),
                writes=tuple(_uris([*written, checkpoints])),
                arguments=named,
            )
        )
    return tuple(jobs)


def _uris(values: Sequence[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str) and value.startswith("s3://"):
            yield value.rstrip("/")
