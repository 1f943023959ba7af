import os
from pathlib import Path

import pytest

from sashiko.core.files import sha256_bytes, sha256_tree
from sashiko.pipeline.runner import digests as module
from sashiko.pipeline.runner.digests import Digests


def test_digests_are_those_of_the_evidence(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / "b").write_text("1")
    (folder / "sub/a").write_text("2")
    digests = Digests()
    files = {"sub/a": folder / "sub/a", "b": folder / "b"}
    assert digests.tree(files) == sha256_tree(folder)
    assert digests.file(folder / "b") == sha256_bytes(b"1")


def test_an_unchanged_file_is_read_once_in_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    digests = Digests()
    digest = digests.file(file)
    monkeypatch.setattr(module, "sha256_file", lambda _: "read again")

    assert digests.file(file) == digest
    assert Digests().file(file) == "read again"
    os.utime(file, ns=(1, 1))
    assert digests.file(file) == "read again"
