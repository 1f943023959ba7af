import errno
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base import parquet
from sashiko.base.files import canonical_json, read_json, sha256_tree, write_bytes, write_json
from sashiko.base.parquet import open_parquet, stream_columns, write_batches, write_table
from sashiko.errors import InputError

TABLE = pa.table({"number": list(range(25)), "text": [str(n) for n in range(25)]})


def test_the_bytes_do_not_depend_on_how_the_rows_were_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 10)
    contents = set()
    for size in (1, 4, 10, 25):
        file = tmp_path / f"{size}.parquet"
        rows = write_batches(file, TABLE.to_batches(max_chunksize=size), schema=TABLE.schema)
        assert rows == 25
        assert pq.read_table(file).equals(TABLE)
        groups = pq.ParquetFile(file).metadata
        assert [groups.row_group(i).num_rows for i in range(3)] == [10, 10, 5]
        contents.add(file.read_bytes())
    assert len(contents) == 1


def test_a_stream_lets_go_of_the_row_groups_that_it_has_read(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "ROW_GROUP_ROWS", 16_384)
    numbers = np.random.default_rng(0).integers(0, 2**63, 32 * parquet.ROW_GROUP_ROWS)
    group_bytes = numbers.nbytes // 32
    write_table(tmp_path / "large.parquet", pa.table({"number": numbers}))
    before = pa.total_allocated_bytes()
    held = [
        pa.total_allocated_bytes() - before
        for _ in stream_columns(tmp_path / "large.parquet", ["number"])
    ]
    assert len(held) == 32
    assert max(held) < 8 * group_bytes


def test_a_table_without_rows_keeps_its_columns_and_half_a_file_is_none(tmp_path: Path) -> None:
    write_table(tmp_path / "none.parquet", TABLE.slice(0, 0))
    assert pq.read_table(tmp_path / "none.parquet").schema == TABLE.schema

    write_table(tmp_path / "whole.parquet", TABLE)
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-20])
    with pytest.raises(InputError, match=r"cut\.parquet is not a whole Parquet file"):
        open_parquet(tmp_path / "cut.parquet")
    with pytest.raises(InputError, match=r"nowhere\.parquet does not exist"):
        open_parquet(tmp_path / "nowhere.parquet")


def test_a_source_that_fails_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "data.parquet"
    write_table(file, TABLE)
    before = file.read_bytes()

    def broken() -> Iterator[pa.RecordBatch]:
        yield TABLE.to_batches()[0]
        raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        write_batches(file, broken(), schema=TABLE.schema)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]


def test_a_full_disk_is_reported_with_the_name_of_the_file(tmp_path: Path) -> None:
    def full() -> Iterator[pa.RecordBatch]:
        yield TABLE.to_batches()[0]
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(InputError, match=r"cannot write .*data\.parquet: No space left on device"):
        write_batches(tmp_path / "data.parquet", full(), schema=TABLE.schema)
    assert list(tmp_path.iterdir()) == []


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
