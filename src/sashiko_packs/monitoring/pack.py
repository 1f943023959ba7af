"""Monitoring, as a pack."""

from typing import Final

from sashiko.packs import Pack, PackPipeline

PACK: Final = Pack(
    name="monitoring",
    recipe_sections={"monitor": "sashiko_packs.monitoring.settings:MonitorSection"},
    pipelines=(
        PackPipeline(
            module="monitor",
            description="Judges what the deployed model of {recipe} answered; changes no model",
            costs="sashiko_packs.monitoring.cost:monitoring_costs",
        ),
    ),
    staged="sashiko_packs.monitoring.account.stores:stage_stores",
    commands={"monitor": "sashiko_packs.monitoring.commands.monitor:app"},
)
