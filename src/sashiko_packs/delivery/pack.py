"""Delivery, as a pack."""

from typing import Final

from sashiko.packs import Pack

PACK: Final = Pack(
    name="delivery",
    first_stacks="sashiko_packs.delivery.constructs.github:github_stacks",
    pipeline_parts="sashiko_packs.delivery.constructs.model_delivery:add_approvals",
    tools_boundary="sashiko_packs.delivery.constructs.parts:ToolsBoundary",
    tools_stack="sashiko_packs.delivery.constructs.stack:Delivery",
    commands={
        "env workflow": "sashiko_packs.delivery.commands:workflow",
        "model deliver": "sashiko_packs.delivery.commands:deliver",
        "model rollback": "sashiko_packs.delivery.commands:rollback",
    },
    renamed={"delivery workflow": "env workflow"},
)
