"""Files: atomic writes, and equal bytes for equal content."""

import os

import pytest

from sashiko.base.files import canonical_json, read_json, sha256_tree, write_bytes, write_json
from sashiko.errors import InputError


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        write_bytes(path, b"new")
    assert read_json(path) == {"a": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["x.json"]


def test_a_tree_digest_depends_on_names_and_contents_only(tmp_path):
    for folder, order in (("one", "ab"), ("two", "ba")):
        for name in order:
            write_bytes(tmp_path / folder / "sub" / name, name.encode())
    assert sha256_tree(tmp_path / "one") == sha256_tree(tmp_path / "two")
    write_bytes(tmp_path / "two/sub/a", b"other")
    assert sha256_tree(tmp_path / "one") != sha256_tree(tmp_path / "two")


def test_canonical_json_refuses_what_json_cannot_say():
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json({"a": float("nan")})


@pytest.mark.parametrize("content", [b"", b"{", b"\xff"])
def test_an_unreadable_json_file_is_named(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.json"):
        read_json(path)
