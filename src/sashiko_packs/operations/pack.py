"""Operations, as a pack."""

from typing import Final

from sashiko.packs import Pack

PACK: Final = Pack(
    name="operations",
    commands={
        "audit": "sashiko_packs.operations.commands.account:audit",
        "cost": "sashiko_packs.operations.commands.cost:cost",
        "empty": "sashiko_packs.operations.commands.account:empty",
        "images": "sashiko_packs.operations.commands.account:images",
    },
)
