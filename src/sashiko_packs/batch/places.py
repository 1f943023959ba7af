"""What a batch is, and where the batch pipeline of a recipe keeps its data."""

import datetime as dt
from dataclasses import dataclass
from typing import Final

from sashiko.account.names import (
    PackName,
    bucket_name,
    model_package_group_name,
    pipeline_name,
    snapshots_uri,
)
from sashiko.contract.derive import Period
from sashiko.errors import InputError
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe

JOBS_ROLE: Final = PackName("batch")
FOLDER: Final = PackName("batch")  # of several buckets, and of the local home
PARTITION: Final = "batch"  # the partition key of a table of answers
NO_TIME: Final = "all"  # in place of the begin and the end of a window
_TIME: Final = "%Y%m%dT%H%M%SZ"


def answers_table(table: str) -> str:
    """Names the table of the answers to a table's rows."""
    return f"{table}_answers"


def batch_pipeline_name(settings: Settings, recipe: str) -> str:
    """Names the pipeline that scores rows by a recipe's approved version."""
    return pipeline_name(settings, recipe, module="batch")


def time_text(time: dt.datetime | None) -> str:
    """Formats a bound of a window, such as `20261128T000000Z`; `all` where there is none."""
    return NO_TIME if time is None else time.astimezone(dt.UTC).strftime(_TIME)


def read_time(text: str, *, option: str) -> dt.datetime | None:
    """Reads what `time_text` writes.

    Raises:
        InputError: naming the option, if it is something else.
    """
    if text == NO_TIME:
        return None
    try:
        return dt.datetime.strptime(text, _TIME).replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise InputError(
            f"{option} {text}: expected a time such as 20261128T000000Z, or `{NO_TIME}`"
        ) from error


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The rows of a run and the version that scores them: each batch is published once."""

    contract: str  # first 16 digits of the SHA-256 of the contract's file
    as_of: str  # the version of the table's data
    start: dt.datetime | None  # begin of the window in UTC; None for all rows of the table
    end: dt.datetime | None  # its end, which is not part of it; None likewise
    version: int  # the model's

    def __post_init__(self) -> None:
        """Refuses half a window, or one without rows."""
        if (self.start is None) != (self.end is None):
            raise InputError("a window has a begin and an end: name both, or neither")
        if self.start and self.end and self.start >= self.end:
            raise InputError(
                f"the window begins at {time_text(self.start)}, which is not before its end, "
                f"{time_text(self.end)}"
            )

    @property
    def name(self) -> str:
        """The value of the partition key: equal batches have one name, and others another."""
        window = f"{time_text(self.start)}-{time_text(self.end)}" if self.start else NO_TIME
        return f"{self.as_of}.{window}.v{self.version}.{self.contract}"

    def period(self, column: str | None) -> Period | None:
        """Returns the window as a condition on a column; None if there is no window.

        Raises:
            InputError: if the recipe names no column.
        """
        if self.start is None or self.end is None:
            return None
        if column is None:
            raise InputError(
                "a window of rows needs the column of their time: name it in the recipe, as "
                "`batch: {window: {column: received_at, days: 7}}`"
            )
        return Period(column, self.start, self.end)


@dataclass(frozen=True, kw_only=True)
class BatchPlaces:
    """S3 URIs of a model package group's batches, without a trailing slash."""

    rows: str  # the snapshots of rows to score; they expire
    # The table of answers; each run writes below a prefix of its own, which nobody reads before the
    # run publishes it.
    answers: str
    published: str  # a record of each published batch
    captures: str  # the endpoint's captures: the store of what monitoring reads

    @property
    def empty_file(self) -> str:
        """The record of no batch, since a job's input has an object."""
        return f"{self.published}/none.json"


def batch_places(settings: Settings, recipe: Recipe, *, table: str) -> BatchPlaces:
    """Returns the places of a recipe's model package group; `table` is the one that is scored."""
    group = model_package_group_name(settings, recipe.model_package_group)
    return BatchPlaces(
        rows=f"{snapshots_uri(settings, 'training')}/{FOLDER}/{group}",
        answers=f"s3://{bucket_name(settings, 'curated')}/{answers_table(table)}",
        published=f"s3://{bucket_name(settings, 'artifacts')}/{FOLDER}/{group}/published",
        captures=f"s3://{bucket_name(settings, 'capture')}/{group}",
    )
