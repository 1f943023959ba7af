"""The content of the project's own images, and the tag that is computed from it.

The tag is known before the image is built and unique to the content, so the stacks can refer to an
image without passing a digest between them.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from fnmatch import translate
from pathlib import Path

from sashiko import __version__
from sashiko.errors import InputError

_IGNORED = "**/"
_COPY = re.compile(r"^COPY (?P<sources>.*) \S+$", re.M)


def content_tag(*, dockerfile: str, target: str, base: str) -> str:
    """Returns the version and twelve digits of a hash of an image's content.

    Only paths and bytes of files count, not times, modes or order: each checkout of a commit gives
    the same tag.

    Args:
        dockerfile: relative to the working folder, the project's root.
        target: the stage that is built.
        base: AWS's image, by name and tag or digest.

    Raises:
        InputError: if the Dockerfile, or a file that it copies, does not exist.
    """
    files = {
        path.as_posix(): _sha256(path) for path in (_file(dockerfile), *copied_files(dockerfile))
    }
    content = json.dumps({"base": base, "files": files, "target": target}, sort_keys=True)
    return f"{__version__}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"


def copied_files(dockerfile: str) -> list[Path]:
    """Returns the files that a Dockerfile copies, without those that .dockerignore excludes.

    Raises:
        InputError: as `content_tag` does.
    """
    text = _file(dockerfile).read_text()
    sources = [source for line in _COPY.finditer(text) for source in line["sources"].split()]
    return sorted({path for source in sources for path in _files(dockerfile, source)})


def materials(dockerfile: str) -> dict[str, str]:
    """Returns the locks and wheels that a Dockerfile copies: path -> hex SHA-256.

    Raises:
        InputError: as `content_tag` does.
    """
    return {
        path.as_posix(): _sha256(path)
        for path in copied_files(dockerfile)
        if path.match("requirements/*.txt") or path.suffix == ".whl"
    }


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def ignore_rules() -> list[str]:
    """Returns the lines of .dockerignore."""
    lines = _file(".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _file(name: str) -> Path:
    path = Path(name)
    if not path.is_file():
        raise InputError(
            f"{name} is not in {Path.cwd()}: the images of an environment with an account are "
            "named by what they are built from; run this in the project's root"
        )
    return path


def _files(dockerfile: str, source: str) -> Iterator[Path]:
    path = Path(source)
    if path.is_file():
        yield path
    elif path.is_dir():
        rules = [rule.removeprefix(_IGNORED) for rule in ignore_rules() if _IGNORED in rule]
        ignored = re.compile("|".join(map(translate, rules)) or r"\Z.").match
        for folder, folders, files in os.walk(path):
            folders[:] = [name for name in folders if not ignored(name)]
            kept = (Path(folder, name) for name in files if not ignored(name))
            yield from (file for file in kept if file.is_file())
    else:
        raise InputError(
            f"{dockerfile}: COPY {source}: there is no such file or folder in {Path.cwd()}"
        )
