from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.data.raw_files import raw_batches
from sashiko.errors import InputError


def _table(path: Path) -> pa.Table:
    return pa.Table.from_batches(raw_batches(path))


def _file(folder: Path, content: bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_csv_is_read_as_text_with_quotes_newlines_and_empty_values(tmp_path):
    path = _file(tmp_path, '﻿id,Wörter\n007,"a,\n""b"""\n,\n'.encode())
    assert _table(path).to_pydict() == {"id": ["007", ""], "Wörter": ['a,\n"b"', ""]}


def test_a_column_stays_text_when_its_first_block_looks_like_numbers(tmp_path):
    lines = b"id,filler\n" + b"1,%s\n" % (b"x" * 1000) * 20_000 + b"one,x\n"
    ids = _table(_file(tmp_path, lines)).column("id")
    assert ids.type == pa.string()
    assert (len(ids), ids[-1].as_py()) == (20_001, "one")


def test_line_breaks_inside_quotes_survive_the_end_of_a_block(tmp_path):
    value = "one\ntwo, " * 100
    path = _file(tmp_path, b"id,text\n" + f'1,"{value}"\n'.encode() * 12_000)
    assert set(_table(path).column("text").to_pylist()) == {value}


def test_parquet_keeps_its_types(tmp_path):
    table = pa.table({"n": [1, 2], "t": ["a", None]})
    pq.write_table(table, tmp_path / "rows.parquet")
    assert _table(tmp_path / "rows.parquet").equals(table)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.csv", b"", "is empty"),
        ("rows.csv", b"a,b\n", "has columns but no rows"),
        ("rows.csv", b"a,b\n1,2\n3\n", r"Row #3: Expected 2 columns, got 1 \(the"),
        ("rows.csv", "a,b\nx,y\nx,né\n".encode("cp1252"), "line 3 is not UTF-8"),
        ("rows.csv", "a,b\nx,y\n".encode("utf-16"), "line 1 is not UTF-8"),
        ("rows.csv", "a,b\nx,y\n".encode("utf-16-le"), "line 1 is not UTF-8"),
        ("rows.parquet", b"", "is empty"),
        ("rows.parquet", b"PAR1 and then nothing", "not a whole Parquet file"),
        ("rows.csv", b"sep=;\na;b\n1;2\n", "the first line is a spreadsheet's `sep=`"),
        ("rows.xlsx", b"x", r"ends in \.csv or \.parquet"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, name, content, message):
    with pytest.raises(InputError, match=message) as caught:
        _table(_file(tmp_path, content, name))
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "written"),
    [("utf-8", "utf-8-sig"), ("utf-16", "utf-16"), ("windows-1252", "windows-1252")],
)
def test_a_file_is_read_with_its_delimiter_and_encoding(tmp_path, encoding, written):
    path = _file(tmp_path, 'Größe;Art\n"1;5";Tür\n'.encode(written))
    table = pa.Table.from_batches(raw_batches(path, delimiter=";", encoding=encoding))
    assert table.to_pydict() == {"Größe": ["1;5"], "Art": ["Tür"]}


def test_bytes_that_are_none_of_the_encoding_are_named_by_their_line(tmp_path):
    path = _file(tmp_path, b"a,b\nx,y\nx,\x81\n")
    with pytest.raises(InputError, match="line 3 is not windows-1252 text"):
        pa.Table.from_batches(raw_batches(path, encoding="windows-1252"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"rows\.csv does not exist"):
        _table(tmp_path / "rows.csv")


def test_a_cut_off_utf8_character_at_the_end_is_refused(tmp_path):
    with pytest.raises(InputError, match="line 3 is not UTF-8"):
        _table(_file(tmp_path, b"a,b\nx,y\nx,n\xc3"))


def test_parquet_without_rows_or_cut_off_or_damaged_is_refused(tmp_path):
    path = tmp_path / "rows.parquet"
    table = pa.table({"t": [f"text {n}" for n in range(5000)]})
    pq.write_table(table.slice(0, 0), path)
    with pytest.raises(InputError, match="no rows"):
        _table(path)
    pq.write_table(table, path, compression="zstd")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(InputError, match="cut off"):
        _table(path)
    path.write_bytes(whole[:200] + bytes(2000) + whole[2200:])
    with pytest.raises(InputError, match="damaged"):
        _table(path)
