import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.errors import InputError
from sashiko.training.examples import read_split, read_weights
from tests.unit.training.tiny_job import save_weights

_KEYS = pa.chunked_array([["train0002", "train0000", "train0001"]])


def test_weights_are_joined_by_key_not_by_position(tmp_path):
    save_weights(tmp_path, [0.5, 1.0, 1.5])
    assert read_weights(tmp_path, _KEYS).tolist() == [1.5, 0.5, 1.0]


def test_without_a_channel_every_row_counts_one(tmp_path):
    assert read_weights(tmp_path / "none", _KEYS).tolist() == [1.0, 1.0, 1.0]


def test_a_channel_without_its_file_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"weights\.parquet does not exist"):
        read_weights(tmp_path, _KEYS)


@pytest.mark.parametrize(
    ("weights", "first", "message"),
    [
        ([1.0, 1.0, 1.0], 1, "1 of 3 train keys have no weight and 1 weights no train key"),
        ([1.0, 1.0], 0, "1 of 3 train keys have no weight and 0 weights no train key"),
        ([1.0] * 4, 0, "0 of 3 train keys have no weight and 1 weights no train key"),
    ],
)
def test_unmatched_keys_fail(tmp_path, weights, first, message):
    save_weights(tmp_path, weights, first=first)
    with pytest.raises(InputError, match=message):
        read_weights(tmp_path, _KEYS)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_is_a_positive_number(tmp_path, weight):
    save_weights(tmp_path, [1.0, weight, 1.0])
    with pytest.raises(InputError, match="column `weight` has values that are not positive"):
        read_weights(tmp_path, _KEYS)


def test_a_split_that_lacks_a_column_or_rows_is_named(tmp_path):
    columns = {"key": ["a"], "text": ["b"], "label": [1]}
    pq.write_table(pa.table(columns).drop_columns("text"), tmp_path / "data.parquet")
    with pytest.raises(InputError, match=r"data\.parquet lacks column `text`"):
        read_split(tmp_path)
    pq.write_table(pa.table(columns).slice(1), tmp_path / "data.parquet")
    with pytest.raises(InputError, match=r"data\.parquet has no rows"):
        read_split(tmp_path)
