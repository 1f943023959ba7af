"""Operations, as a pack."""

from typing import Final

from sashiko.packs import Pack

PACK: Final = Pack(
    name="operations",
    checks={"closed buckets": "sashiko_packs.operations.emptying:check_closed"},
    commands={
        "audit": "sashiko_packs.operations.commands.account:audit",
        "cost": "sashiko_packs.operations.commands.cost:cost",
        "empty": "sashiko_packs.operations.commands.account:empty",
        "images": "sashiko_packs.operations.commands.account:images",
    },
)
