"""One parser under atheris, in a process of its own: `-m verification.fuzz.target NAME SCRATCH`.

What follows is libFuzzer's: flags, and folders of inputs, the first of which it adds to.
"""

import os
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["sashiko", "payload", "text", "pickletools", "zipfile"]):
    from verification.fuzz import archives, requests

# Memory that a header asks for and never fills counts here alone.
_MOST_ADDRESSES = 4 << 30  # bytes
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CHANGES = frozenset({"os.chmod", "os.chown", "os.mkdir", "os.rename", "os.truncate", "os.utime"})
_LINKS = frozenset({"os.link", "os.symlink"})


class OutsideError(Exception):
    """A link was to be made, or something changed outside the scratch folder."""


def main() -> None:
    """Fuzzes until a flag's limit or a finding ends it."""
    name, folder, *flags = sys.argv[1:]
    scratch = Path(folder).resolve()
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_ADDRESSES, _MOST_ADDRESSES))
    sys.addaudithook(_guard(scratch))
    parser = archives if name == archives.NAME else requests

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        return parser.mutate(data, change=lambda part: atheris.Mutate(part, most), seed=seed)[:most]

    atheris.Setup([name, *flags], lambda data: parser.check(data, scratch), custom_mutator=mutate)
    atheris.Fuzz()


def _guard(scratch: Path) -> Callable[[str, tuple], None]:
    """Refuses every change outside: a parser that is broken must not break the machine."""

    def hook(event: str, arguments: tuple) -> None:
        allowed = event not in _LINKS
        if event in _CHANGES or (event == "open" and (arguments[2] or 0) & _WRITES):
            path = arguments[0]
            # Where there are no links a path leads where it says.
            allowed = isinstance(path, int) or os.path.normpath(os.fsdecode(path)).startswith(
                f"{scratch}/"
            )
        if not allowed:
            raise OutsideError(f"{event} {arguments[:2]}")

    return hook


if __name__ == "__main__":
    main()
