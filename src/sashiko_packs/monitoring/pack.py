"""Monitoring, as a pack."""

from typing import Final

from sashiko.packs import Pack

PACK: Final = Pack(
    name="monitoring",
    recipe_sections={"monitor": "sashiko_packs.monitoring.settings:MonitorSection"},
    staged="sashiko_packs.monitoring.account.stores:stage_stores",
    commands={"monitor": "sashiko_packs.monitoring.commands.monitor:app"},
)
