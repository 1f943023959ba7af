"""Packs that are on, that are off, and that cannot be: with packs of other distributions."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sashiko.errors import InputError
from sashiko.packs import enabled_packs
from sashiko.pipeline.compiled import compile_pipeline
from sashiko.pipeline.project import open_recipe
from sashiko.pipeline.runner.code import CodeDigests
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import load_recipe
from tests.unit.pipeline.runner.tiny import Tiny

PACK = """
from sashiko.packs import Pack

PACK = Pack(
    name="{name}",
    recipe_sections={{"{section}": "{name}_pack.settings:Section"}},
    environment_sections={{"{section}": "{name}_pack.settings:Section"}},
    commands={{
        "{command}": "{name}_pack.commands:act",
        "model {command}": "{name}_pack.commands:act",
    }},
)
"""
FILES = {
    "__init__.py": "",
    "settings.py": (
        "from sashiko.base.yaml_models import Frozen\n\nclass Section(Frozen):\n    size: int = 1\n"
    ),
    "commands.py": 'def act() -> None:\n    """Acts as a pack."""\n    print("acted")\n',
}


class Project:
    """A project's folder, beside which packs are installed."""

    def __init__(self, root: Path, patch: pytest.MonkeyPatch) -> None:
        self.root, self.patch = root, patch

    def import_from(self, name: str) -> Path:
        """Returns a new folder that packages are imported from before all others."""
        folder = self.root.parent / name
        folder.mkdir()
        self.patch.setattr(sys, "path", [str(folder), *sys.path])
        self.patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        return folder

    def install(self, name: str, *, section: str = "", command: str = "") -> Path:
        """Makes a pack available, and returns the folder of its code."""
        site = self.import_from(f"site-{name}")
        folder = site / f"{name}_pack"
        folder.mkdir()
        names = {"name": name, "section": section or name, "command": command or name}
        for file, text in (FILES | {"pack.py": PACK.format(**names)}).items():
            (folder / file).write_text(text)
        metadata = site / f"{name}_pack-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Name: {name}-pack\nVersion: 1.0\n")
        points = f"[sashiko.packs]\n{name} = {name}_pack.pack:PACK\n"
        (metadata / "entry_points.txt").write_text(points)
        return folder

    def turn_on(self, *packs: Any, **sections: Any) -> None:
        base = self.root / "config/base.yaml"
        values = yaml.safe_load(base.read_text())
        for pack in enabled_packs(folder=self.root / "config"):
            for key in pack.environment_sections:
                values.pop(key, None)
        base.write_text(yaml.safe_dump(values | sections | {"packs": [*packs]}))

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from sashiko.cli import main; main()", *arguments]
        return subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    root = tmp_path / "project"
    root.mkdir()
    for folder in ("config", "contracts", "pipelines", "recipes"):
        shutil.copytree(folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", "")
    made = Project(root, monkeypatch)
    made.turn_on()
    yield made
    for name in [name for name in sys.modules if name.partition(".")[0].endswith("_pack")]:
        del sys.modules[name]


@pytest.mark.slow
def test_with_no_pack_on_there_are_settings_recipes_and_a_definition(project: Project) -> None:
    assert enabled_packs() == ()
    assert load_settings("dev").packs == ()
    done = project.run("definition", "--check")
    assert (done.returncode, "no problem" in done.stdout) == (0, True), done.stderr


def test_a_pack_that_is_on_has_its_sections_and_commands(project: Project) -> None:
    project.install("acme")
    project.turn_on("acme", acme={"size": 2})
    assert load_settings("dev").model_dump()["acme"] == {"size": 2}
    assert load_recipe(Path("recipes/complaints.yaml")).model_dump()["acme"] == {"size": 1}
    assert "Acts as a pack." in project.run("--help").stdout
    assert project.run("acme").stdout == project.run("model", "acme").stdout == "acted\n"


def test_what_is_of_a_pack_that_is_off_is_refused_with_the_pack_and_the_fix(
    project: Project,
) -> None:
    project.install("acme")
    assert "acme" not in project.run("--help").stdout
    for command in (("acme",), ("model", "acme")):
        done = project.run(*command)
        assert (done.returncode, done.stdout) == (1, "")
        assert "belongs to the pack `acme`, which is off: add it to `packs`" in done.stderr

    message = (
        r"{}: key `acme` belongs to the pack `acme`, which is off: add it to `packs` in "
        r"config/base\.yaml, or remove the key"
    )
    dev, recipe = Path("config/dev.yaml"), Path("recipes/complaints.yaml")
    load_settings("dev")
    load_recipe(recipe)
    for file, load in ((dev, lambda: load_settings("dev")), (recipe, lambda: load_recipe(recipe))):
        file.write_text(f"{file.read_text()}\nacme: {{size: 2}}\n")
        with pytest.raises(InputError, match=message.format(file)):
            load()


@pytest.mark.parametrize(
    ("packs", "message"),
    [
        (["acne"], "there is no pack `acne`; available: acme"),
        (["acme", "acme"], "it names a pack twice"),
        ([1], "expected a list of names; available: acme"),
    ],
)
def test_a_list_that_is_wrong_is_one_clear_error(
    project: Project, packs: list[Any], message: str
) -> None:
    project.install("acme")
    project.turn_on(*packs)
    done = project.run("definition")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: config/base.yaml: key `packs`: {message}"), done.stderr
    assert done.stderr.count("\n") == 1


def test_an_environment_turns_no_pack_on(project: Project) -> None:
    project.install("acme")
    dev = Path("config/dev.yaml")
    dev.write_text(f"{dev.read_text()}\npacks: [acme]\n")
    with pytest.raises(InputError, match=r"config/dev\.yaml: key `packs` is the project's"):
        load_settings("dev")


def test_two_packs_cannot_have_one_section(project: Project) -> None:
    for name in ("acme", "other"):
        project.install(name, section="size")
    project.turn_on("acme", size={})
    load_settings("dev")
    recipe = Path("recipes/complaints.yaml")
    load_recipe(recipe)
    project.turn_on("acme", "other", size={})
    for load in (lambda: load_settings("dev"), lambda: load_recipe(recipe)):
        with pytest.raises(InputError, match=r"`acme` and `other` both have .* section `size`"):
            load()


def test_no_pack_has_a_section_of_the_core(project: Project) -> None:
    project.install("acme", section="network")
    project.turn_on("acme")
    with pytest.raises(InputError, match="a pack has the environment's section `network`"):
        load_settings("dev")


def test_two_packs_cannot_have_one_command(project: Project) -> None:
    project.install("acme", command="act")
    project.install("other", command="act")
    project.turn_on("acme", "other", acme={}, other={})
    done = project.run("act")
    assert (done.returncode, done.stdout) == (1, "")
    assert "the packs `acme` and `other` both have the command `act`" in done.stderr


@pytest.mark.slow
def test_a_definition_is_built_again_after_a_packs_code_changed(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = project.install("acme")
    project.turn_on("acme", acme={})

    def said() -> str:
        recipe = open_recipe(Path("recipes/complaints.yaml"))
        compile_pipeline(load_settings("local"), recipe, home=Path(".sashiko"))
        return capsys.readouterr().err

    assert "building the definition" in said()
    assert said() == ""
    (folder / "commands.py").write_text(f"{FILES['commands.py']}\n# changed\n")
    assert "acme_pack/commands.py has changed" in said()


def test_a_packs_step_runs_again_after_its_code_changed(project: Project) -> None:
    folder = project.root / "src/acme_pack"
    folder.mkdir(parents=True)
    (folder / "counts.py").write_text("FIRST = 1\n")
    (folder / "steps.py").write_text(
        "import os, pathlib\nfrom acme_pack.counts import FIRST\n"
        "folder = pathlib.Path(os.environ['OPT_ML'], 'processing/output/out')\n"
        "(folder / 'first').write_text(str(FIRST))\n"
    )
    tiny = Tiny(project.root / ".sashiko")
    step = tiny.job("Count", command=["python3", "-m", "acme_pack.steps"])

    def count() -> tuple[str, str]:
        record = tiny.run(step)
        return record.step("Count").status, (tiny.output(record, "Count") / "first").read_text()

    assert [count(), count()] == [("succeeded", "1"), ("cached", "1")]
    (folder / "counts.py").write_text("FIRST = 22\n")
    assert count() == ("succeeded", "22")


def test_what_a_projects_step_imports_of_a_pack_counts(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    packs = project.import_from("packs") / "sashiko_packs/acme"
    packs.mkdir(parents=True)
    (packs.parent / "__init__.py").write_text("")
    (packs / "__init__.py").write_text("")
    (packs / "rows.py").write_text("")
    own = project.root / "src/team/steps"
    own.mkdir(parents=True)
    (own / "count.py").write_text("from sashiko_packs.acme import rows\n")
    monkeypatch.delitem(sys.modules, "sashiko_packs", raising=False)
    before = CodeDigests()(["python3", "-m", "team.steps.count"])
    (packs / "rows.py").write_text("# changed\n")
    assert CodeDigests()(["python3", "-m", "team.steps.count"]) != before
