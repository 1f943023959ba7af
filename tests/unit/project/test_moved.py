"""The names of moved modules in a project's files."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import sashiko
from docs.public_api import public_names
from sashiko.base.yaml_models import read_yaml
from sashiko.project.moved import rewrite, rewrite_imports

ENGINE = Path(sashiko.__file__).parents[1]
TABLE = read_yaml(ENGINE / "sashiko/project/moved.yaml")
SMALL = {"sashiko.core.parquet": "sashiko.base.parquet", "sashiko.old.place": "sashiko.place"}


def test_each_new_name_is_a_public_module_of_the_engine_and_no_old_one_is() -> None:
    public = public_names()
    for old, new in TABLE.items():
        module, _, name = new.rpartition(".")
        pack = ".".join(new.split(".")[:2])  # or a room, which may not be left out
        is_there = importlib.util.find_spec(pack) is not None
        assert not is_there or new in public or name in public.get(module, ()), new
        assert old not in public


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from sashiko.core.parquet import open_parquet\n",
         "from sashiko.base.parquet import open_parquet\n"),
        ("import sashiko.core.parquet\nsashiko.core.parquet.open_parquet()\n",
         "import sashiko.base.parquet\nsashiko.base.parquet.open_parquet()\n"),
        ("def late():\n    from sashiko.core import files, parquet as pq  # why\n",
         "def late():\n    from sashiko.core import files\n"
         "    from sashiko.base import parquet as pq  # why\n"),
        ("from sashiko.old import (\n    place,\n)\nplace.x()\n",
         "from sashiko import place\nplace.x()\n"),
        ("from sashiko.core.parquets import x\nmysashiko.core.parquet = 1\n",
         "from sashiko.core.parquets import x\nmysashiko.core.parquet = 1\n"),
        ('MODULE = "sashiko.core.parquet"\n', 'MODULE = "sashiko.base.parquet"\n'),
    ],
    ids=["from", "import", "of a package", "in brackets", "another name", "in a text"],
)  # fmt: skip
def test_a_name_is_rewritten_where_it_stands(before: str, after: str) -> None:
    assert rewrite(before, SMALL) == after


def test_what_the_engine_does_not_have_is_told_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        '"""Own."""\n\nfrom sashiko.errors import InputError, Gone\n'
        "from sashiko.report import style\nimport sashiko.nowhere\n"
        "from sashiko.base import files\nfrom . import other\n"
    )
    (tmp_path / "broken.py").write_text("def\n")
    result = rewrite_imports(tmp_path, ("own.py", "broken.py", "gone.py", "x.md"), engine=ENGINE)
    assert result.files == ()
    assert result.unknown == (
        "own.py:3: sashiko.errors.Gone",
        "own.py:4: sashiko.report.style",
        "own.py:5: sashiko.nowhere",
    )


def test_a_project_that_another_engine_upgraded_is_rewritten_by_the_command(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("from sashiko.core.parquet import open_parquet\n")
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    subprocess.run(["git", "-C", tmp_path, "add", "--all"], check=True)
    command = [sys.executable, "-m", "sashiko.project.moved"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "changed   own.py\n"), done.stderr
    assert (tmp_path / "own.py").read_text() == "from sashiko.base.parquet import open_parquet\n"
