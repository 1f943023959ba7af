import pyarrow as pa
import pytest

from sashiko.core.parquet import write_table
from sashiko.errors import InputError
from sashiko.report.fairness import GroupRates, read_group_rates
from sashiko.report.predictions import read_predictions, scores_by_group


def predictions(tmp_path, **changes):
    columns = {
        "key": ["a", "b", "c", "d"],
        "split": ["validation", "test", "test", "test"],
        "label": [1, 0, 1, 1],
        "score": [0.1, 0.2, 0.3, 0.4],
        "predicted": [0, 0, 0, 1],
    }
    path = tmp_path / "predictions.parquet"
    write_table(path, pa.table(columns | changes))
    return path


def test_scores_are_of_the_test_split_alone_and_joined_by_key(tmp_path):
    facets = tmp_path / "data.parquet"
    write_table(facets, pa.table({"id": ["d", "a", "b"], "age": ["old", "old", "young"]}))
    read = read_predictions(predictions(tmp_path))
    groups = scores_by_group(read, facets, key="id", facet="age")
    assert {group.name: group.scores.tolist() for group in groups} == {
        "missing": [0.3], "old": [0.4], "young": [0.2],
    }  # fmt: skip


def test_predictions_without_test_rows_or_a_column_are_refused(tmp_path):
    with pytest.raises(InputError, match="no row of the test split"):
        read_predictions(predictions(tmp_path, split=["validation"] * 4))
    path = tmp_path / "predictions.parquet"
    write_table(path, pa.table({"key": ["a"]}))
    with pytest.raises(InputError, match="lacks column `split`, `label`, `score`, `predicted`"):
        read_predictions(path)


def test_groups_are_counted_by_label_and_prediction(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text('label,predicted_label,age\n1,1,"a,b"\n1,0,"a,b"\n0,1,c\n')
    assert read_group_rates(path) == (
        GroupRates("age", "a,b", rows=2, positives=2, predicted=1, true_positives=1),
        GroupRates("age", "c", rows=1, positives=0, predicted=1, true_positives=0),
    )


def test_a_file_with_other_columns_is_refused(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("label,age\n1,old\n")
    with pytest.raises(InputError, match="not what BiasInput writes"):
        read_group_rates(path)
