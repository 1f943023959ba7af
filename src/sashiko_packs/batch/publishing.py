"""Publishes the answers of a batch as one partition of their table, once."""

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from botocore.exceptions import ClientError

from sashiko.base import aws_calls as calls
from sashiko.errors import InputError, disk_reason
from sashiko_packs.batch.places import PARTITION

connect = partial(calls.connect, "the table of answers", "glue")
translate_errors = partial(calls.translate_errors, advice=())


class Answers(Protocol):
    """Where tables of answers are."""

    def publish(self, table: str, batch: str, *, location: str, files: Sequence[Path]) -> str:
        """Makes the answers of a batch visible, all at once; returns where they are.

        Args:
            table: of the answers.
            batch: its name.
            location: S3 URI of the answers' files.
            files: copies of them.

        Returns:
            `location`, or that of an earlier run, which stays the batch's only one.

        Raises:
            InputError: if they cannot be published; then nothing is visible.
        """


@dataclass(frozen=True)
class LocalAnswers:
    """The local lake: a folder per table, and in it one per batch, which appears by a rename."""

    folder: Path

    def publish(self, table: str, batch: str, *, location: str, files: Sequence[Path]) -> str:  # noqa: ARG002 - the files are copied
        """Publishes a batch; see `Answers.publish`."""
        place = self.folder / table / f"{PARTITION}={batch}"
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            # Beside the table: a killed run leaves nothing in it.
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=".tmp-") as scratch:
                new = Path(scratch, "new")
                new.mkdir()
                for file in files:
                    shutil.copyfile(file, new / file.name)
                if not place.exists():
                    os.rename(new, place)  # noqa: PTH104 - it refuses a folder that has files
        except FileExistsError:
            pass  # another run was first
        except OSError as error:
            if not place.is_dir():
                raise InputError(f"cannot write {place}: {disk_reason(error)}") from error
        return str(place)


@dataclass(frozen=True)
class GlueAnswers:
    """A Glue database. A partition is made by one call, and a second one of its name is refused.

    CreatePartition, AlreadyExistsException: Glue's API Reference, as in botocore.
    """

    database: str

    def publish(self, table: str, batch: str, *, location: str, files: Sequence[Path]) -> str:
        """Publishes a batch; see `Answers.publish`. Without files there is nothing to see."""
        if not files:
            return location
        glue, name = connect().glue, {"DatabaseName": self.database, "TableName": table}
        with translate_errors(f"publish a batch of {self.database}.{table}"):
            storage = self._storage(glue, table)
            partition = {
                "Values": [batch],
                "StorageDescriptor": storage | {"Location": f"{location.rstrip('/')}/"},
            }
            try:
                glue.create_partition(**name, PartitionInput=partition)
            except ClientError as error:
                if error.response["Error"]["Code"] != "AlreadyExistsException":
                    raise
                existing = glue.get_partition(**name, PartitionValues=[batch])["Partition"]
                return str(existing["StorageDescriptor"]["Location"]).rstrip("/")
        return location

    def _storage(self, glue: Any, table: str) -> dict[str, Any]:
        """Returns how the table's files are written and read."""
        description = glue.get_table(DatabaseName=self.database, Name=table)["Table"]
        return dict(description["StorageDescriptor"])


def open_answers(uri: str) -> Answers:
    """Returns the tables of `AnswersUri`, `duckdb://<folder of the lake>` or `glue://<database>`.

    Raises:
        InputError: if it is something else.
    """
    scheme, _, rest = uri.partition("://")
    if scheme == "duckdb" and rest:
        return LocalAnswers(Path(rest))
    if scheme == "glue" and rest:
        return GlueAnswers(rest)
    raise InputError(f"answers {uri}: expected duckdb://<folder of the lake> or glue://<database>")
