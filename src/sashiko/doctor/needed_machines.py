"""The SageMaker instances that an environment uses concurrently, by type and kind of job."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from sashiko.pipeline.definition.definition_records import Definition, Step
from sashiko.pipeline.definition.graph import build_graph
from sashiko.pipeline.definition.job_arguments import cluster_of
from sashiko.settings.environment import Settings

RECIPE_KEY = "train.distributed.instance_type"
# As the names of SageMaker's quotas have it: "ml.m5.large for processing job usage".
Use = Literal["processing job", "training job", "spot training job", "transform job", "endpoint"]


@dataclass(frozen=True, kw_only=True)
class Needed:
    """Instances that are used concurrently."""

    instance_type: str  # such as `ml.m5.large`
    use: Use  # the kind of job
    count: int  # how many at once, at most
    key: str  # where the settings name the type, or the recipe

    @property
    def quota(self) -> str:
        """The name of SageMaker's quota for it."""
        return f"{self.instance_type} for {self.use} usage"


def needed_machines(settings: Settings, definition: Definition, *, target: str) -> Iterator[Needed]:
    """Yields what a run of the pipeline, its check on a device and the endpoint need."""
    jobs: dict[tuple[str, Use], list[Step]] = {}
    for step in definition.steps:
        if step.is_job:
            kind: Use = "processing job"
            if step.type == "Training":
                spot = step.arguments.get("EnableManagedSpotTraining") is True
                kind = "spot training job" if spot else "training job"
            machine = str(cluster_of(step)["InstanceType"])
            jobs.setdefault((machine, kind), []).append(step)
    for (instance_type, use), steps in sorted(jobs.items()):
        # Exact if the steps have equally many instances, else the most that there can be.
        largest = max(int(cluster_of(step)["InstanceCount"]) for step in steps)
        count = largest * most_at_once(definition, {step.name for step in steps})
        key = _key(settings, instance_type, "training" if "training" in use else "")
        yield Needed(instance_type=instance_type, use=use, count=count, key=key)
    yield from _hosting(settings, target)


def _hosting(settings: Settings, target: str) -> Iterator[Needed]:
    serving, check = settings.serving, settings.device_check
    kind, key = serving.instance_type(target), f"serving.instance_types.{target}"
    # A deployment starts the new fleet beside the old one.
    fleet = max(2 * serving.min_instances, serving.max_instances) if serving.enabled else 0
    if count := fleet + (check == "endpoint"):
        yield Needed(instance_type=kind, use="endpoint", count=count, key=key)
    if check == "transform":
        yield Needed(instance_type=kind, use="transform job", count=1, key=key)


def _key(settings: Settings, instance_type: str, only: str) -> str:
    jobs = settings.jobs.model_dump()
    kinds = [only] if only else [kind for kind in jobs if kind != "training"]
    matches = [kind for kind in kinds if jobs[kind]["instance_type"] == instance_type]
    return ", ".join(f"jobs.{kind}.instance_type" for kind in matches) or RECIPE_KEY


def most_at_once(definition: Definition, names: Iterable[str]) -> int:
    """Returns how many of the named steps can run at the same time, at most.

    By Dilworth's theorem the largest set of independent steps has as many elements as a minimum
    chain cover, which is the number of steps minus a maximum matching of predecessors to
    successors.
    """
    steps = sorted(names)
    graph = build_graph(definition)
    matched: dict[str, str] = {}

    def extend(step: str, seen: set[str]) -> bool:
        for after in graph.downstream(step).intersection(steps) - seen - {step}:
            seen.add(after)
            if after not in matched or extend(matched[after], seen):
                matched[after] = step
                return True
        return False

    return len(steps) - sum(extend(step, set()) for step in steps)
