"""Proves that a pack can be left out: `make test-without PACK=<name>`.

A copy of the checkout loses the pack's folder, its entry point, its line in `packs:`, its sections
of settings and recipes, its pipelines, and its tests. The copy has an environment of its own, with
the checkout's packages and the copy's entry points. Nothing is generated again for it, and no test
is skipped or deselected.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

from sashiko.base.yaml_text import parse_yaml
from sashiko.packs import Pack, enabled_packs
from verification.guards.copies import copy_tree

_ROOT = Path(__file__).parents[1]
_SITE_PACKAGES = Path(f"lib/python3.{sys.version_info.minor}/site-packages")
# What belongs to a pack and is in no record of it.
_OWN = {
    "batch": ("template/pipelines/batch.py",),
    "delivery": ("delivery.mk", "template/delivery.mk"),
    "operations": ("operations.mk", "template/operations.mk"),
    "monitoring": ("template/pipelines/monitor.py",),
    "selection": ("schemas/selection.schema.json", "selections"),
}
_SHORT = (
    "lint-imports",
    "mypy",
    "sashiko definition --check",
    "npx --no-install cdk synth -q -c env=dev",
)
_FULL = (
    "ruff check .",
    "ruff format --check .",
    *_SHORT,
    "pytest -n auto --dist loadfile -m 'not slow'"
    " tests/e2e tests/infra tests/unit tests/packs tests/pipeline",
    "sashiko run",
)


def main() -> None:
    """Makes the copy and runs the commands in it; the exit status is 1 if one fails."""
    packs = {pack.name: pack for pack in enabled_packs(folder=_ROOT / "config")}
    parser = argparse.ArgumentParser(prog="make test-without", description=__doc__)
    parser.add_argument("pack", choices=sorted(packs))
    parser.add_argument("--short", action="store_true", help="import rules, types, one synth")
    parser.add_argument("--keep", action="store_true", help="keep the copy, and print its path")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix=f"without-{options.pack}-"))
    try:
        copy_tree(_ROOT, folder)
        remove_pack(folder, packs[options.pack])
        install(folder)
        commands = _SHORT if options.short else _FULL
        failed = [command for command in commands if not run(command, folder)]
    finally:
        if options.keep:
            print(folder)
        else:
            shutil.rmtree(folder)
    for command in failed:
        print(f"fails without {options.pack}: {command}", file=sys.stderr)
    sys.exit(1 if failed else 0)


def remove_pack(folder: Path, pack: Pack) -> None:
    """Takes a pack out of a copy, as a person would who deletes it.

    Raises:
        RuntimeError: if a line that must go is not there.
    """
    shutil.rmtree(folder / "src/sashiko_packs" / pack.name)
    shutil.rmtree(folder / "tests/packs" / pack.name)
    for name in _OWN.get(pack.name, ()):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for pipeline in pack.pipelines:
        (folder / "pipelines" / f"{pipeline.module}.py").unlink()
    _remove(folder / "pyproject.toml", rf'^{pack.name} = "sashiko_packs\..*\n')
    base = folder / "config/base.yaml"
    listed = base.read_text(encoding="utf-8")
    others = ", ".join(name for name in parse_yaml(listed)["packs"] if name != pack.name)
    base.write_text(re.sub(r"(?m)^packs: \[.*?\]", f"packs: [{others}]", listed), encoding="utf-8")
    for kind, keys in (("config", pack.environment_sections), ("recipes", pack.recipe_sections)):
        for file in sorted((folder / kind).rglob("*.yaml")):
            for key in keys.keys() & (parse_yaml(file.read_text(encoding="utf-8")) or {}).keys():
                _remove(file, rf"^{key}:.*\n([ #].*\n)*")
    # The template's question, and packages of the job image that one pack alone imports.
    question = rf"(, ?|\|){pack.name}\b|\b{pack.name}(, ?|\||(?=\{{%))"
    for name, pattern in (("copier.yml", question), ("requirements/job.in", f".* # {pack.name}\n")):
        file = folder / name
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub(pattern, "", text), encoding="utf-8")
    git = ("git", "-C", str(folder))
    subprocess.run([*git, "add", "--all"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message", f"Without {pack.name}"], check=True)


def _remove(file: Path, pattern: str) -> None:
    text, count = re.subn(pattern, "", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    if count != 1:
        raise RuntimeError(f"{file}: {count} times {pattern}")
    file.write_text(text, encoding="utf-8")


def install(folder: Path) -> None:
    """Makes a copy's environment: this one's packages and programs, and the copy itself."""
    venv.create(folder / ".venv")
    here, there = Path(sys.prefix), folder / ".venv"
    for path in _other_packages(here / _SITE_PACKAGES):
        (there / _SITE_PACKAGES / path.name).symlink_to(path)
    for program in (here / "bin").iterdir():
        target = there / "bin" / program.name
        if target.exists() or not program.is_file():
            continue
        content = program.read_bytes()
        if content.startswith(b"#!"):
            target.write_bytes(content.replace(bytes(here / "bin"), bytes(there / "bin"), 1))
            target.chmod(0o755)
        else:
            target.symlink_to(program)
    command = [here / "bin/uv", "pip", "install", "-q", "--python", there / "bin/python"]
    command += ["--no-deps", "--no-build-isolation", "-e", "."]
    subprocess.run(command, cwd=folder, check=True)
    if (cache := _ROOT / ".mypy_cache").is_dir():
        shutil.copytree(cache, folder / ".mypy_cache")


def _other_packages(folder: Path) -> Iterator[Path]:
    """Yields what is installed but the engine, whose entry points the copy has without the pack."""
    for path in folder.iterdir():
        if "sashiko" not in path.name and path.name != "__pycache__":
            yield path


def run(command: str, folder: Path) -> bool:
    """Runs a command in a copy; its output is shown."""
    print(f"$ {command}", file=sys.stderr, flush=True)
    path = os.pathsep.join([str(folder / ".venv/bin"), os.environ.get("PATH", "")])
    others = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    completed = subprocess.run(
        ["/bin/sh", "-c", command], cwd=folder, env=others | {"PATH": path}, check=False
    )
    return completed.returncode == 0


if __name__ == "__main__":
    main()
