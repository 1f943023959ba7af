"""What an execution in an account takes from an earlier one, by what SageMaker says of it."""

from dataclasses import dataclass
from typing import Final

from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import ChampionRecord
from sashiko.registry.model_packages.registry import connect, translate_errors
from sashiko.steps.registries import is_sagemaker, open_registry

CHAMPION_STEP: Final = "ResolveChampion"
_TRACK: Final = "Track"


@dataclass(frozen=True, kw_only=True)
class SourceExecution:
    """The execution whose results a selective execution reuses."""

    arn: str
    steps: tuple[str, ...]  # whose results are reused, as SageMaker lists them
    same_champion: bool  # whether the champion is the one that the source resolved
    tracked: str  # id of the execution that MLflow has the metrics of

    @property
    def id(self) -> str:
        """The last part of its ARN."""
        return _id(self.arn)


def source_execution(registry: str, arn: str) -> SourceExecution | None:
    """Returns the source of an execution; None of a full one, and on one's own machine.

    `registry` is the kind, `arn` the execution's.

    Raises:
        InputError: if SageMaker refuses.
    """
    if not is_sagemaker(registry):
        return None
    sagemaker = connect().sagemaker
    with translate_errors(f"read the execution {arn}"):

        def origin(execution: str) -> tuple[str, set[str]]:
            response = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution)
            config = response.get("SelectiveExecutionConfig") or {}
            names = {item["StepName"] for item in config.get("SelectedSteps", ())}
            return config.get("SourcePipelineExecutionArn", ""), names

        source, selected = origin(arn)
        if not source:
            return None
        pages = sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
            PipelineExecutionArn=arn, SortOrder="Ascending"
        )
        steps = tuple(
            item["StepName"]
            for page in pages
            for item in page["PipelineExecutionSteps"]
            if item.get("SelectiveExecutionResult")
        )
        # The source may be a selective execution itself, which has not tracked either.
        tracked, (earlier, names) = arn, (source, selected)
        while earlier and _TRACK not in names:
            tracked, (earlier, names) = earlier, origin(earlier)
    return SourceExecution(
        arn=source,
        steps=steps,
        same_champion=CHAMPION_STEP not in selected,
        tracked=_id(tracked),
    )


def check_champion(registry: str, group: str, champion: ChampionRecord | None) -> None:
    """Checks that the champion that the gates compared with is still the one in use.

    Raises:
        InputError: if it is not, or the registry cannot be read.
    """
    current = open_registry(registry).champion(group)
    now = current and (current.version, current.artifact_sha256)
    then = champion and (champion.version, champion.sha256)
    if now != then:
        before, after = (f"version {item[0]}" if item else "none" for item in (then, now))
        raise InputError(
            f"the champion of {group} is {after}; the gates, whose verdicts are of an earlier "
            f"execution, compared with {before}: start from Evaluate"
        )


def _id(arn: str) -> str:
    return arn.rpartition("/")[2]
