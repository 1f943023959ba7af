"""Monitoring's part of the lake: who writes its stores, how long they last, and their table."""

from collections.abc import Mapping, Sequence
from typing import Final

from aws_cdk import Duration

from sashiko.account.names import Bucket, Role
from sashiko.contract.glue import GlueTable, captured_table
from sashiko.contract.model import Contract
from sashiko.pipeline.project import recipe_table
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko_cdk.lake.private_bucket import PrivateBucket
from sashiko_packs.monitoring.places import DECISIONS, FOLDER, monitor_places

_SCRATCH: Final = Duration.days(7)
_DELETED: Final = Duration.days(14)  # in which a store that a job has damaged can be restored
# People label, by the keys of a draw, and delete keys.
_WRITERS: Final[tuple[Role, ...]] = ("monitor", "data-scientist", "privacy-officer")


def protect_stores(settings: Settings, buckets: Mapping[Bucket, PrivateBucket]) -> None:  # noqa: ARG001  # a hook's
    """Says who writes and reads the stores in the snapshots bucket, and when versions expire."""
    snapshots = buckets["snapshots"]
    prefix = f"{FOLDER}/"
    snapshots.only(*_WRITERS, "deployer", actions=["s3:PutObject"], prefix=prefix)
    readers: tuple[Role, ...] = (*_WRITERS, "bias-evaluator", "break-glass")
    snapshots.only(*readers, actions=["s3:GetObject*"], prefix=prefix)
    snapshots.add_lifecycle_rule(prefix=f"{prefix}{DECISIONS}/", expiration=_SCRATCH)
    # Old versions have the keys that were deleted since. Of two rules the shorter holds ("How
    # Amazon S3 handles conflicts in lifecycle configurations", S3 User Guide).
    for folder in (prefix, f"facets/{prefix}"):
        snapshots.add_lifecycle_rule(prefix=folder, noncurrent_version_expiration=_DELETED)


def captured_tables(
    settings: Settings, recipe: Recipe, contracts: Sequence[Contract]
) -> Mapping[str, GlueTable]:
    """Returns the table of a recipe's decoded requests by its location."""
    table = recipe_table(recipe)
    return {
        f"{monitor_places(settings, recipe).decoded}/": captured_table(contract)
        for contract in contracts
        if contract.table == table
    }
