"""The dependency graph of steps: DependsOn, references inside arguments, and branches."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sashiko.errors import InputError
from sashiko.pipeline.definition.expressions import StepReference, step_references
from sashiko.pipeline.definition.model import Definition, Step


@dataclass(frozen=True)
class Graph:
    """The dependencies of a definition.

    Attributes:
        waits_for: step name -> names of the steps that must end before it starts.
        order: the steps' names in topological order.
    """

    waits_for: Mapping[str, tuple[str, ...]]
    order: tuple[str, ...]

    def downstream(self, name: str) -> frozenset[str]:
        """Returns the names of a step and of all steps that wait for it, directly or not."""
        names = {name}
        for step in self.order:
            if names.intersection(self.waits_for[step]):
                names.add(step)
        return frozenset(names)


def build_graph(definition: Definition) -> Graph:
    """Builds the dependency graph of a definition.

    Raises:
        InputError: for a cycle, and for a reference to a step that does not exist, has no such
            property file, or is in another branch.
    """
    waits_for = {step.name: _dependencies(step, definition) for step in definition.steps}
    return Graph(waits_for=waits_for, order=_order(waits_for))


def up_to(definition: Definition, name: str) -> Definition:
    """Returns the definition up to a step: the step, all that it waits for, and their Fail steps.

    Raises:
        InputError: as `build_graph`, and if there is no such step.
    """
    graph = build_graph(definition)
    if name not in graph.order:
        raise InputError(f"the pipeline has no step `{name}`; it has: {', '.join(graph.order)}")
    needed = {name}
    for step in reversed(graph.order):
        if step in needed:
            needed.update(graph.waits_for[step])
    steps = (
        step
        for step in definition.steps
        if step.name in needed
        or (step.type == "Fail" and needed.issuperset(graph.waits_for[step.name]))
    )
    return replace(definition, steps=tuple(steps))


def referred_step(reference: StepReference, step: Step, definition: Definition) -> Step:
    """Returns the step that a reference inside `step` names.

    Raises:
        InputError: if it does not exist, may not run, or has no such properties.
    """
    target = _visible_step(reference.step, step, definition, where=reference.where)
    files = [file.name for file in target.property_files]
    if reference.file is not None and reference.file not in files:
        raise InputError(
            f"{reference.where}: step `{target.name}` has no property file "
            f"`{reference.file}`; it has: {', '.join(files) or 'none'}"
        )
    if not (target.is_job or target.type == "Lambda"):
        raise InputError(
            f"{reference.where}: a {target.type} step has no properties, and `{target.name}` is one"
        )
    return target


def _visible_step(name: str, step: Step, definition: Definition, *, where: str) -> Step:
    """Returns the step of a name, if it runs whenever `step` does.

    Raises:
        InputError: if it does not exist, or is in a branch that `step` is not in.
    """
    target = definition.step(name)
    if target is None:
        known = ", ".join(other.name for other in definition.steps)
        raise InputError(f"{where}: no step is named `{name}`; there is: {known}")
    branch = target.branch
    if branch is not None and branch != step.branch:
        raise InputError(
            f"{where}: step `{name}` stands in a branch of `{branch.condition}` and may not run; "
            f"move `{step.name}` into the same branch"
        )
    return target


def awaited_steps(step: Step, definition: Definition) -> tuple[Step, ...]:
    """Returns the steps in DependsOn.

    Raises:
        InputError: if a step does not exist, may not run, or is a Condition.
    """
    targets = []
    for index, name in enumerate(step.depends_on):
        where = f"step `{step.name}`, DependsOn[{index}]"
        target = _visible_step(name, step, definition, where=where)
        if target.type == "Condition":
            # aws/sagemaker-python-sdk#3565: CreatePipeline refuses it.
            raise InputError(
                f"{where}: no step may depend on a Condition step, and `{name}` is one; move "
                f"`{step.name}` into its branches, or make `{name}` a Lambda step that fails"
            )
        targets.append(target)
    return tuple(targets)


def _dependencies(step: Step, definition: Definition) -> tuple[str, ...]:
    names = [step.branch.condition] if step.branch else []
    names += [target.name for target in awaited_steps(step, definition)]
    for reference in step_references(step.arguments, where=f"step `{step.name}`, Arguments"):
        names.append(referred_step(reference, step, definition).name)
    return tuple(dict.fromkeys(names))


def _order(waits_for: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    order: list[str] = []
    remaining = dict(waits_for)
    while remaining:
        ready = [name for name, needs in remaining.items() if not set(needs) & set(remaining)]
        if not ready:
            raise InputError(f"definition: steps wait for each other: {_cycle(remaining)}")
        order += ready
        for name in ready:
            del remaining[name]
    return tuple(order)


def _cycle(remaining: Mapping[str, tuple[str, ...]]) -> str:
    """Returns a cycle among the steps that cannot be ordered."""
    path = [next(iter(remaining))]
    while path.count(path[-1]) == 1:
        path.append(next(name for name in remaining[path[-1]] if name in remaining))
    return " -> ".join(path[path.index(path[-1]) :])
