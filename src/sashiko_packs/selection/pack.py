"""Selection, as a pack."""

from typing import Final

from sashiko.packs import Pack

PACK: Final = Pack(
    name="selection",
    sweep="sashiko_packs.selection.commands:run_sweep",
    home={"sweeps": "the sweeps"},
    commands={"select": "sashiko_packs.selection.commands:select"},
    panels={"select": "Models"},
)
