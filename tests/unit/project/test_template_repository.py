"""The repository that copier merges between: a commit for each release's template."""

import os
import subprocess
from pathlib import Path

from sashiko.project.project_upgrade import _Release, _template_repository

LONG_AGO = 1_000_000_000


def test_a_change_that_keeps_a_files_size_and_time_is_in_the_commit(tmp_path: Path) -> None:
    """Git compares a file's content only where its size or its times differ."""
    releases = []
    for version, text in (("0.1.0", "threads: 2\n"), ("0.2.0", "threads: 3\n")):
        file = tmp_path / version / "base.yaml"
        file.parent.mkdir()
        file.write_text(text)
        os.utime(file, (LONG_AGO, LONG_AGO))
        releases.append(_Release(version, file.parent))
    repository = _template_repository(tmp_path / "templates", *releases)
    command = ["git", "-C", str(repository), "show", "v0.2.0:base.yaml"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert shown.stdout == "threads: 3\n"
