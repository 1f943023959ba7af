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
            costs="monitoring, where a version is served: one window of a week, about and at most:",
            most_a_month=5,  # Mondays
        ),
    ),
    bucket_parts="sashiko_packs.monitoring.constructs.access:protect_stores",
    lake_parts="sashiko_packs.monitoring.constructs.access:add_monitor_access",
    lake_tables="sashiko_packs.monitoring.constructs.access:captured_tables",
    pipeline_parts="sashiko_packs.monitoring.constructs.flow:add_monitoring",
    staged="sashiko_packs.monitoring.account:stage_stores",
    artifact_readers="sashiko_packs.monitoring.constructs.access:readers",
    roles="sashiko_packs.monitoring.constructs.access:ROLES",
    home={"monitor": "monitoring's windows, draws and labels"},
    commands={
        "model replay": "sashiko_packs.monitoring.commands:replay",
        "monitor": "sashiko_packs.monitoring.commands:app",
    },
    panels={"monitor": "Monitoring"},
    renamed={"monitor audit --labels": "monitor label", "monitor audit": "monitor sample"},
)
