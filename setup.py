"""Adds to the wheel what projects need beside modules: template, locks, pages and schemas."""

import re
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
LOCKS = ("copier", "deploy", "infra", "job", "run", "security", "serving-cpu", "test", "torch")
_INCLUDE = re.compile(r"{% include '([^']+)' %}")


class BuildWithProject(build_py):
    """Copies the files beside the modules; an editable install finds them in the checkout."""

    def run(self) -> None:
        """Builds the package, then adds the files."""
        super().run()
        if not self.editable_mode and (ROOT / "copier.yml").is_file():
            add_files(Path(self.build_lib) / "sashiko")


def add_files(package: Path) -> None:
    """Copies the template with what it includes, locks, documentation and schemas."""
    project = package / "project"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "template", project / "template", ignore=ignore, dirs_exist_ok=True)
    included = {
        name
        for file in sorted((ROOT / "template").rglob("*.jinja"))
        for name in _INCLUDE.findall(file.read_text(encoding="utf-8"))
    }
    files = {project / name: ROOT / name for name in ("copier.yml", *sorted(included))}
    files |= {package / f"locks/{name}.txt": ROOT / f"requirements/{name}.txt" for name in LOCKS}
    files |= {package / "schemas" / file.name: file for file in (ROOT / "schemas").iterdir()}
    files[package / "docs/changelog.md"] = ROOT / "CHANGELOG.md"
    for page in sorted((ROOT / "docs").rglob("*")):
        if page.suffix in {".md", ".png", ".svg"}:
            files[package / page.relative_to(ROOT)] = page
    for target, source in files.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


setup(cmdclass={"build_py": BuildWithProject})
