"""Operations, as a pack."""

from typing import Final

from sashiko.packs import Pack

PACK: Final = Pack(
    name="operations",
    commands={
        "env cost": "sashiko_packs.operations.commands.cost:cost",
        "env destroy-data": "sashiko_packs.operations.commands.account:destroy_data",
        "env drift": "sashiko_packs.operations.commands.account:drift",
        "env prove": "sashiko_packs.operations.commands.prove:prove",
    },
    renamed={
        "audit": "env drift",
        "cost": "env cost",
        "empty": "env destroy-data",
        "prove": "env prove",
    },
    home={"prove": "what probes of an account have still to remove"},
)
