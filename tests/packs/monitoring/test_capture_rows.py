"""A file of captured rows is read in pieces that cut no request."""

from itertools import groupby

import pyarrow as pa
import pytest

from sashiko.base.parquet import write_table
from sashiko.errors import InputError
from sashiko_packs.monitoring.capture import rows as captured_rows
from sashiko_packs.monitoring.capture.record import row_schema
from sashiko_packs.monitoring.capture.rows import captured_columns, stream_requests, stream_rows


def _write(path, events):
    rows = [{"event_id": event, "score": 0.5} for event in events]
    write_table(path, pa.Table.from_pylist(rows, schema=row_schema(["product"])))


@pytest.mark.parametrize("sizes", [[1, 6, 2, 9, 3], [4, 4], [13], [1] * 9])
def test_no_request_is_cut(tmp_path, monkeypatch, sizes) -> None:
    monkeypatch.setattr(captured_rows, "_STREAM_ROWS", 4)
    events = [f"e{number}" for number, size in enumerate(sizes) for _ in range(size)]
    _write(tmp_path / "rows.parquet", events)
    event_ids = []
    for table, numbers in stream_requests(tmp_path / "rows.parquet", ["score"]):
        assert table.column_names == ["event_id", "score"]
        piece = table["event_id"].to_pylist()
        groups = [len(list(group)) for _, group in groupby(piece)]
        assert numbers.tolist() == [n for n, size in enumerate(groups) for _ in range(size)]
        assert not set(piece) & set(event_ids)
        event_ids += piece
    assert event_ids == events


def test_a_file_of_no_rows_has_no_pieces_but_columns(tmp_path) -> None:
    path = tmp_path / "rows.parquet"
    _write(path, [])
    assert list(stream_rows(path)) == []
    assert list(stream_requests(path, ["score"])) == []
    assert captured_columns(path) == ("product",)


def test_another_file_is_refused(tmp_path) -> None:
    path = tmp_path / "rows.parquet"
    write_table(path, pa.table({"key": ["a"]}))
    with pytest.raises(InputError, match="lacks column `input`"):
        captured_columns(path)
    path.write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not a whole Parquet file"):
        list(stream_rows(path))
