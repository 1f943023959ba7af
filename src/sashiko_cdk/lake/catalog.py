"""The lake's tables and the Athena workgroups that query them."""

from collections.abc import Sequence
from typing import get_args

from constructs import Construct

from sashiko.account.names import SnapshotView, exploration_workgroup_name, workgroup_name
from sashiko.contract.glue import GlueTable, glue_table
from sashiko.contract.model import Contract
from sashiko.packs import load_packs, pack_objects
from sashiko.settings.recipe import Recipe
from sashiko_cdk.lake.closed_lake import ClosedLakeCheck, LakeProbe
from sashiko_cdk.lake.domain_key import DomainKey
from sashiko_cdk.lake.governed_location import GovernedLocation
from sashiko_cdk.lake.lake_tables import LakeTables
from sashiko_cdk.lake.private_bucket import PrivateBucket
from sashiko_cdk.lake.query_workgroup import QueryWorkgroup
from sashiko_cdk.stack import EnvironmentStack

__all__ = ["add_catalog", "add_workgroups"]


def add_catalog(
    stack: EnvironmentStack,
    contracts: Sequence[Contract],
    *,
    recipes: Sequence[Recipe],
    logs_key: DomainKey,
    first: PrivateBucket,
    dependencies: Sequence[Construct],
) -> None:
    """Adds the Glue tables of contracts to a stack, and registers them with Lake Formation.

    Args:
        stack: the stack.
        contracts: of the lake's tables.
        recipes: those whose models may be served: each has a table of decoded requests.
        logs_key: encrypts the log of the probe, which tries whether the lake is closed.
        first: the bucket that the others depend on; a refused deploy has made none.
        dependencies: what has to exist before a location is registered.
    """
    captured: dict[str, GlueTable] = {}
    packs = load_packs(stack.settings.packs, source="settings")
    for tables in pack_objects("lake_tables", packs):
        for recipe in recipes:
            captured |= tables(stack.settings, recipe, contracts)
    lake = LakeTables(
        stack,
        "Lake",
        settings=stack.settings,
        tables=[glue_table(contract) for contract in contracts],
        captured=captured,
        removal_policy=stack.removal_policy,
    )
    if stack.settings.lake_formation.mode == "enforced":
        probe = LakeProbe(
            stack,
            "Probe",
            settings=stack.settings,
            key=logs_key,
            removal_policy=stack.removal_policy,
        )
        last: Construct = ClosedLakeCheck(stack, settings=stack.settings, tables=())
        last.node.add_dependency(probe, lake.database)
        # The other buckets log to it, so a refused deploy has no buckets to delete.
        first.node.add_dependency(last)
        for name, table in lake.tables.items():
            location = GovernedLocation(
                stack, f"Location-{name}", settings=stack.settings, table=name
            )
            # Lake Formation's changes come one after the other: see `add_governance`.
            location.node.add_dependency(*dependencies, last)
            last = location.location
            table.add_resource_dependency(location.location)


def add_workgroups(
    stack: EnvironmentStack,
    *,
    snapshots_key: DomainKey,
    ml_key: DomainKey,
    dependencies: Sequence[Construct],
) -> None:
    """Adds the Athena workgroups to a stack: one for each view of a snapshot, one for people.

    Args:
        stack: the stack.
        snapshots_key: encrypts the results of snapshots.
        ml_key: encrypts the results of data scientists' queries.
        dependencies: what has to exist before the workgroups.
    """
    # One per view, below the view's folder: query results are as sensitive as the view.
    snapshots = [
        QueryWorkgroup(
            stack,
            f"Snapshots-{view}",
            settings=stack.settings,
            name=workgroup_name(stack.settings, view),
            description=f"Takes snapshots of the lake: {view}",
            bucket="snapshots",
            folder=f"{view}/",
            key=snapshots_key,
        )
        for view in get_args(SnapshotView)
    ]
    exploration = QueryWorkgroup(
        stack,
        "Exploration",
        settings=stack.settings,
        name=exploration_workgroup_name(stack.settings),
        description="Data scientists' queries of the lake",
        bucket="artifacts",
        key=ml_key,
    )
    for workgroup in (*snapshots, exploration):
        workgroup.node.add_dependency(*dependencies)
