"""What is scored in batches (of a recipe), and how (of an environment)."""

from typing import Annotated

from pydantic import AfterValidator, Field

from sashiko.base.yaml_models import Frozen
from sashiko.contract.model import Contract, LakeName
from sashiko.settings.environment_sections import ScoringJob


class BatchWindow(Frozen):
    """The rows of some days, by a column."""

    column: str = Field(description="a date or a time of the contract that may be trained on")
    days: int = Field(ge=1, le=366, description="of a scheduled run: those before its day, UTC")


class BatchSection(Frozen):
    """The rows that a recipe's approved version scores."""

    table: LakeName | None = Field(
        None,
        description="a table of the lake with the contract's columns without the label; by default "
        "the contract's own, whose label is not read",
    )
    window: BatchWindow | None = Field(
        None, description="score the rows of some days; by default all rows of the newest load"
    )

    def scored(self, contract: Contract) -> Contract:
        """Returns the contract of the rows: the recipe's, or without the label if it names a table.

        Nothing of that contract but its table, key and columns is to be read.
        """
        if self.table is None:
            return contract
        label = contract.label.column
        columns = tuple(column for column in contract.columns if column.name != label)
        # A table that is named here is one of this lake, whoever has the contract's own.
        return contract.model_copy(update={"table": self.table, "columns": columns, "lake": None})


def _check_schedule(schedule: str) -> str:
    if not schedule.startswith(("cron(", "rate(")) or not schedule.endswith(")"):
        raise ValueError(
            "expected an expression of EventBridge in UTC, such as `cron(0 5 * * ? *)` or "
            "`rate(1 day)`"
        )
    return schedule


class BatchJobs(Frozen):
    """The runs of the batch pipeline in an environment.

    Attributes:
        job: the resources of the job that scores, whose instances share the rows.
    """

    schedule: Annotated[str, AfterValidator(_check_schedule)] | None = Field(
        description="when a run starts in an account, in UTC, such as `cron(0 5 * * ? *)`; null: "
        "`sashiko batch run` alone starts one"
    )
    job: ScoringJob
    max_rows: int = Field(ge=1, le=1_000_000_000, description="rows that a run may score")
    max_usd: float | None = Field(
        gt=0,
        description="US dollars that the jobs of a run may cost, each until its time limit and "
        "with all repeats; null: no limit",
    )
    monitored: int = Field(
        ge=0, le=100, description="percent of the answers that monitoring judges like captured ones"
    )
