"""Delivery, as a pack."""

from typing import Final

from sashiko.packs import Pack

PACK: Final = Pack(
    name="delivery",
    commands={
        "delivery": "sashiko_packs.delivery.commands.delivery:delivery",
        "model deliver": "sashiko_packs.delivery.commands.model_delivery:deliver",
        "model rollback": "sashiko_packs.delivery.commands.model_delivery:rollback",
    },
)
