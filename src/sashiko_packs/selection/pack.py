"""Selection, as a pack."""

from typing import Final

from sashiko.packs import Pack

PACK: Final = Pack(
    name="selection",
    commands={"select": "sashiko_packs.selection.commands.select:select"},
)
