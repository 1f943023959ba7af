"""What stacks of the core offer to packs, which add constructs to them or stacks beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aws_cdk import App
from aws_cdk import aws_kms as kms

from sashiko.errors import InputError
from sashiko.packs import load_packs, pack_objects
from sashiko.settings.environment import Settings
from sashiko.settings.tools import Tools
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.events.event_flows import EventFlows, StateMachine
from sashiko_cdk.stack import EnvironmentStack

__all__ = [
    "LakeParts",
    "PipelineParts",
    "add_lake_parts",
    "add_pipeline_parts",
    "add_tools_stack",
    "first_pack_stacks",
    "pack_stacks",
]


@dataclass(frozen=True, kw_only=True)
class LakeParts:
    """Of the stack DataLake."""

    deployment: Deployment
    lake_key: kms.IKey
    capture_key: kms.IKey
    snapshots_key: kms.IKey
    ml_key: kms.IKey


@dataclass(frozen=True, kw_only=True)
class PipelineParts:
    """Of the stack Pipeline."""

    deployment: Deployment
    flows: EventFlows
    artifacts_key_arn: str


def add_lake_parts(stack: EnvironmentStack, parts: LakeParts) -> None:
    """Lets packs add to the stack DataLake."""
    for add in of_packs("lake_parts", stack.settings):
        add(stack, parts)


def add_pipeline_parts(stack: EnvironmentStack, parts: PipelineParts) -> list[StateMachine]:
    """Lets packs add to the stack Pipeline; returns their state machines that start something."""
    added = (add(stack, parts) for add in of_packs("pipeline_parts", stack.settings))
    return [machine for machines in added for machine in machines]


def first_pack_stacks(app: App, deployment: Deployment) -> list[EnvironmentStack]:
    """Adds the stacks of packs that come before all others."""
    added = (add(app, deployment) for add in of_packs("first_stacks", deployment.settings))
    return [stack for stacks in added for stack in stacks]


def pack_stacks(
    app: App, deployment: Deployment, *, artifacts_key_arn: str
) -> list[EnvironmentStack]:
    """Adds the stacks of packs that come after the pipeline's; the key is that of artifacts."""
    added: list[Sequence[EnvironmentStack]] = [
        add(app, deployment, artifacts_key_arn=artifacts_key_arn)
        for add in of_packs("stacks", deployment.settings)
    ]
    return [stack for stacks in added for stack in stacks]


def add_tools_stack(app: App, tools: Tools) -> None:
    """Adds the stack of the tools' account.

    Raises:
        InputError: if no pack that is on has one.
    """
    makers = of_packs("tools_stack", tools.settings)
    if not makers:
        raise InputError(
            "config/base.yaml: key `packs`: none of them has a stack for the tools' account"
        )
    for add_stack in makers:
        add_stack(app, tools)


def of_packs(kind: str, settings: Settings) -> tuple[Any, ...]:
    """Imports what the environment's packs name in a field of `Pack`."""
    return pack_objects(kind, load_packs(settings.packs, source="settings"))
