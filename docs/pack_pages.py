"""`packs/<name>.md`: a pack's commands, and what a project may import from it.

`cli.md` and `api.md` are the core's, so that they stay the same whichever packs there are.
"""

import re
from importlib import import_module
from pathlib import Path

from docs.configuration import selection_section
from docs.public_api import PACKS, ROOT, module_stubs, public_names
from sashiko.packs import Pack

FOLDER = ROOT / "docs/packs"
_HEAD = "<!-- Written by `make docs`, from the help texts and `__all__` of the pack. -->\n\n"
# The reference is cut before each command's heading, which has 1 to 4 `#`.
_SECTIONS = re.compile(r"^(?=#{1,4} `sashiko)", re.MULTILINE)
_TARGETS = re.compile(r"^([a-z-]+):.*## (.+)$", re.MULTILINE)
_TITLE = re.compile(r"#+ `sashiko ?(?P<path>[^`]*)`")


def core_reference(reference: str, packs: tuple[Pack, ...]) -> str:
    """Returns the reference of all commands without those of packs."""
    paths = {path for pack in packs for path in pack.commands}
    kept = []
    for section in _sections(reference):
        group = _path(section)
        if _owned(group, paths):
            continue
        names = [path for path in paths if path.rpartition(" ")[0] == group]
        listed = "|".join(re.escape(path.rpartition(" ")[2]) for path in names)
        kept.append(re.sub(rf"(?m)^\* `(?:{listed})`: .*\n", "", section) if names else section)
    return "".join(kept).rstrip() + "\n"


def pack_pages(reference: str, packs: tuple[Pack, ...]) -> dict[Path, str]:
    """Returns path -> content of the page of each pack."""
    return {FOLDER / f"{pack.name}.md": _page(reference, pack) for pack in packs}


def _page(reference: str, pack: Pack) -> str:
    commands = [part for part in _sections(reference) if _owned(_path(part), set(pack.commands))]
    package = f"{PACKS}.{pack.name}"
    names = [name for name in public_names() if f"{name}.".startswith(f"{package}.")]
    parts = [_HEAD, f"# Pack `{pack.name}`\n\n{import_module(package).__doc__}\n\n"]
    parts += (
        _TITLE.sub(r"## `sashiko \g<path>`", part, count=1).rstrip() + "\n\n" for part in commands
    )
    makefile = ROOT / f"{pack.name}.mk"
    targets = _TARGETS.findall(makefile.read_text()) if makefile.is_file() else ()
    parts += (f"## `make {name}`\n\n{text[0].upper()}{text[1:]}.\n\n" for name, text in targets)
    if pack.name == "selection":
        parts.append(selection_section() + "\n")
    if names:
        parts += ["## What a project may import\n\n", *module_stubs(names).values()]
    return "".join(parts).rstrip() + "\n"


def _sections(reference: str) -> list[str]:
    return [part for part in _SECTIONS.split(reference) if part]


def _path(section: str) -> str:
    """Returns a section's command, such as `model import`; of the root, and before it, none."""
    title = _TITLE.match(section)
    return title["path"] if title else ""


def _owned(command: str, paths: set[str]) -> bool:
    return any(f"{command} ".startswith(f"{path} ") for path in paths)
