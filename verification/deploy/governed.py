"""A lake that the command line deployed to the emulator: changed by hand, then audited."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sashiko.account.access.environment_access import Environment, read_environment
from sashiko.account.access.live import Difference
from sashiko.account.account import Account
from sashiko.account.names import database_name
from sashiko.doctor.deploy import examine
from sashiko.doctor.services import Check
from sashiko_packs.operations.audit import read_live
from sashiko_packs.operations.lake import compare_lake
from tests.infra.variants import settings_of
from tests.project_root import IMAGES
from verification.deploy import aws_command
from verification.deploy.process import ROOT, Emulator

Record = dict[str, Any]
Undo = Callable[[], None]


@dataclass
class Governed:
    """An environment in an account."""

    emulator: Emulator
    variant: str  # of `tests.infra.variants`
    folder: Path  # has its cloud assembly, as `cdk.out`
    environment: Environment = field(init=False)

    def __post_init__(self) -> None:
        settings = settings_of(self.variant)
        self.environment = read_environment(settings, folder=self.folder / "cdk.out")
        self._account = Account(settings)

    def deploy(self, *options: str) -> None:
        arguments = ("deploy", "--all", "--require-approval=never", *options)
        self.emulator.cdk(*arguments, folder=self.folder)

    def put_repository(self) -> None:
        """Links the files of a run beside the templates, as in a repository."""
        names = ("contracts", "node_modules", "package.json", "pipelines", "recipes")
        for name in (*names, *IMAGES):
            (self.folder / name).symlink_to(ROOT / name)

    def audit(self) -> list[Difference]:
        return list(compare_lake(self.environment, read_live(self._account, self.environment)))

    def checks(self) -> list[Check]:
        return list(examine(self._account, self.environment.settings, self.environment))

    def failed(self) -> list[Check]:
        return [check for check in self.checks() if check.status == "failed"]

    def client(self, service: str) -> Any:
        return self._account.client(service)

    @property
    def database(self) -> str:
        return database_name(self.environment.settings)

    @property
    def formation(self) -> Any:
        return self.client("lakeformation")

    @property
    def glue(self) -> Any:
        return self.client("glue")

    def role(self, name: str) -> str:
        return self.environment.settings.role_arn(name)

    def run(self, fix: str) -> None:
        aws_command.run(self.emulator, fix)

    def put_settings(self, **change: Any) -> Undo:
        """Changes members of the account's data-lake settings."""
        put = self.formation.put_data_lake_settings
        before = self.formation.get_data_lake_settings()["DataLakeSettings"]
        put(DataLakeSettings=before | change)
        return lambda: put(DataLakeSettings=before)

    def put_columns(self, change: Callable[[list[Record]], None]) -> Undo:
        """Changes the columns of the table of complaints."""
        update = partial(self.glue.update_table, DatabaseName=self.database)
        table = self.glue.get_table(DatabaseName=self.database, Name="complaints")["Table"]
        members = ("Name", "StorageDescriptor", "PartitionKeys", "Parameters", "TableType")
        before = {key: table[key] for key in members}
        after = copy.deepcopy(before)
        change(after["StorageDescriptor"]["Columns"])
        update(TableInput=after)
        return lambda: update(TableInput=before)
