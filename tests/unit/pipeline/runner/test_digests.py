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
    digests = Digests(tmp_path / "memory.json")
    files = {"sub/a": folder / "sub/a", "b": folder / "b"}
    assert digests.tree(files) == sha256_tree(folder)
    assert digests.file(folder / "b") == sha256_bytes(b"1")


def test_an_unchanged_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, missing = tmp_path / "file", tmp_path / "gone"
    file.write_text("1")
    missing.write_text("1")
    first = Digests(tmp_path / "memory.json")
    digest = first.file(file)
    first.file(missing)
    missing.unlink()
    first.save()
    monkeypatch.setattr(module, "sha256_file", lambda _: "read again")

    second = Digests(tmp_path / "memory.json")
    assert second.file(file) == digest
    assert "gone" not in (tmp_path / "memory.json").read_text()
    os.utime(file, ns=(1, 1))
    assert second.file(file) == "read again"


@pytest.mark.parametrize("content", ["{", "[1]", '{"x": 3}'])
def test_a_damaged_memory_is_started_afresh(tmp_path: Path, content: str) -> None:
    memory = tmp_path / "memory.json"
    memory.write_text(content)
    assert Digests(memory).file(memory) == sha256_bytes(content.encode())
