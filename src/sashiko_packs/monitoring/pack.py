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
    bucket_parts="sashiko_packs.monitoring.constructs.stores:protect_stores",
    lake_parts="sashiko_packs.monitoring.constructs.monitor_access:add_monitor_access",
    lake_tables="sashiko_packs.monitoring.constructs.stores:captured_tables",
    pipeline_parts="sashiko_packs.monitoring.constructs.monitoring:add_monitoring",
    staged="sashiko_packs.monitoring.account.stores:stage_stores",
    commands={"monitor": "sashiko_packs.monitoring.commands.monitor:app"},
)
