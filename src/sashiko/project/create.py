"""Creates a project: `sashiko new`."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from sashiko.base.problems import suggestion
from sashiko.errors import InputError
from sashiko.project.copier_template import extract_template, run_copier
from sashiko.project.wheel import Wheel, pin

ANSWERS = Path(".copier-answers.yml")


def create_project(
    folder: Path,
    *,
    wheel: Wheel,
    answers: Mapping[str, str],
    draft_options: Sequence[str],
    defaults: bool,
) -> dict[str, str]:
    """Writes a project's files; on failure, nothing is left.

    Args:
        folder: the project's folder, new or empty.
        wheel: the engine, with the template.
        answers: the answers to the template's questions; a `data_file` is copied into `data/`.
        draft_options: options of `contract init` for that file.
        defaults: use the defaults of the other questions instead of asking.

    Returns:
        The answers to all questions.

    Raises:
        InputError: if the folder has files, an answer is not valid, or the data file does not
            allow a draft of a contract.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not empty: name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        template = extract_template(wheel, Path(scratch))
        questions = yaml.safe_load((template / "copier.yml").read_text(encoding="utf-8"))
        known = [name for name in questions if not name.startswith("_")]
        for name in (name for name in answers if name not in known):  # copier would ignore it
            raise InputError(
                f"--answer {name}=...: there is no such question; known: {', '.join(known)}"
                f"{suggestion(name, known)}"
            )
        # The folder's name is the default of the project's name.
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".sashiko-new-") as temporary:
            project = Path(temporary) / folder.name
            run_copier("copy", template, project, answers=answers, defaults=defaults)
            replies = read_answers(project)
            pin(project, wheel, vendor=replies["engine_source"] == "vendor")
            if replies["data_file"]:
                _draft(project, replies, options=draft_options)
            if folder.exists():
                folder.rmdir()
            project.rename(folder)
    return replies


def read_answers(project: Path) -> dict[str, str]:
    """Returns a project's answers to the template's questions.

    Raises:
        InputError: if the file is missing or not a mapping.
    """
    file = project / ANSWERS
    if not file.is_file():
        raise InputError(
            f"{file} does not exist: run the command in the root of a project of `sashiko new`"
        )
    content = yaml.safe_load(file.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected keys and values; restore it from git")
    return {str(key): str(value) for key, value in content.items()}


def _draft(project: Path, answers: Mapping[str, str], *, options: Sequence[str]) -> None:
    """Copies the data file into `data/`, and drafts its contract and recipe."""
    source = Path(answers["data_file"]).expanduser()
    if not source.is_file():
        raise InputError(f"data_file: {source} does not exist")
    (project / "data").mkdir()
    data = shutil.copyfile(source, project / "data" / source.name).relative_to(project)
    file = project / ANSWERS
    text = file.read_text(encoding="utf-8")
    # The path is relative to the project, which others clone elsewhere.
    content = yaml.safe_load(text) | {"data_file": data.as_posix()}
    new = yaml.safe_dump(content, allow_unicode=True)
    file.write_text(f"{text.splitlines()[0]}\n{new}", encoding="utf-8")
    command = [sys.executable, "-c", "from sashiko.cli import main; main()", "contract", "init"]
    command += [data.as_posix(), f"--label={answers['label']}", f"--name={answers['dataset']}"]
    completed = subprocess.run([*command, *options], cwd=project, stdout=sys.stderr, check=False)
    if completed.returncode:
        raise InputError("no contract could be drafted for the data file: see above")
