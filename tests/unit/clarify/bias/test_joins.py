from pathlib import Path

import pytest

from sashiko.clarify.bias.config import AnalysisConfig
from sashiko.clarify.bias.dataset import Dataset, read_dataset
from sashiko.core.files import write_json
from sashiko.errors import InputError
from tests.unit.clarify.bias.configs import folder_of, texts

MAIN = "id,late\na,1\nb,0\nc,1\n"
FACETS = "id,age\nc,young\na,old\nb,mid\n"
TOLD = "told,id\n0,b\n1,c\n1,a\n"


def joined(
    root: Path, *, main: str = MAIN, facets: str = FACETS, told: str = TOLD, **change
) -> Dataset:
    folder_of(root / "data", a_csv=main)
    folder_of(root / "other", facets_csv=facets, told_csv=told)
    config = {
        "dataset_type": "text/csv",
        "label": "late",
        "label_values_or_threshold": [1],
        "predicted_label": "told",
        "predicted_label_dataset_uri": str(root / "other/told.csv"),
        "facet": [{"name_or_index": "age"}],
        "facet_dataset_uri": str(root / "other/facets.csv"),
        "joinsource_name_or_index": "id",
        "methods": {"post_training_bias": {"methods": "all"}},
    }
    return read_dataset(AnalysisConfig.model_validate(config | change), root / "data")


EXPECTED = {"late": ["1", "0", "1"], "told": ["1", "0", "1"], "age": ["old", "mid", "young"]}


def test_facets_and_predictions_find_their_rows_by_key(tmp_path: Path) -> None:
    assert texts(joined(tmp_path)) == EXPECTED


def test_the_key_and_the_columns_may_be_indices_into_their_own_data_sets(tmp_path: Path) -> None:
    data = joined(
        tmp_path,
        told=TOLD.replace("told,id", "id,told").replace("0,b\n1,c\n1,a", "b,0\nc,1\na,1"),
        joinsource_name_or_index=0,
        predicted_label=1,
        facet=[{"name_or_index": 1}],
    )
    assert texts(data) == EXPECTED


def test_data_sets_without_a_header_are_named_by_their_headers(tmp_path: Path) -> None:
    data = joined(
        tmp_path,
        facets="a,old\nb,mid\nc,young\n",
        told="1,a\n1,c\n0,b\n",
        facet_headers=["id", "age"],
        predicted_label_headers=["told", "id"],
    )
    assert texts(data) == EXPECTED


def test_predictions_in_a_data_set_of_their_own_have_clarifys_default_name(tmp_path: Path) -> None:
    data = joined(tmp_path, told=TOLD.replace("told", "predicted_label"), predicted_label=None)
    assert data.predicted
    assert data.predicted.values.to_pylist() == EXPECTED["told"]


def test_without_a_key_rows_belong_together_in_their_order(tmp_path: Path) -> None:
    change = {"joinsource_name_or_index": None}
    data = joined(
        tmp_path, facets="age\nold\nmid\nyoung\n", told="late,told\n0,1\n0,0\n0,1\n", **change
    )
    assert texts(data) == EXPECTED
    with pytest.raises(InputError, match=r"a\.csv has 3 rows and .*facets\.csv 1; name a key"):
        joined(tmp_path, facets="age\nold\n", **change)
    folder_of(tmp_path / "data", b_csv=MAIN)
    with pytest.raises(InputError, match="several files is joined by key"):
        joined(tmp_path, **change)


def test_more_facets_than_rows_are_fine_but_not_more_predictions(tmp_path: Path) -> None:
    assert texts(joined(tmp_path, facets=FACETS + "z,old\n")) == EXPECTED
    with pytest.raises(InputError, match=r"told\.csv: 1 of 4 keys, such as 'z', are not in .*a\."):
        joined(tmp_path, told=TOLD + "1,z\n")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"told": "told,id\n1,a\n"}, r"a\.csv: 2 of 3 keys, such as 'b', are not in .*told\.csv"),
        ({"facets": "id,age\na,old\n"}, r"2 of 3 keys, such as 'b', are not in .*facets\.csv"),
        ({"told": TOLD + "1,a\n"}, r"told\.csv: key column .* more than once, such as 'a'"),
        ({"main": MAIN + "a,0\n"}, r"a\.csv: key column .* more than once"),
        ({"main": MAIN + ",0\n"}, r"a\.csv: column `id` .*joinsource.* has 1 empty values"),
        ({"told": "told,key\n1,a\n"}, r"told\.csv lacks column `id` .*`joinsource_name_or_index`"),
        ({"facets": ""}, r"facets\.csv is empty"),
        ({"facet_dataset_uri": "nowhere.csv"}, "`facet_dataset_uri`: there is no file at nowhere"),
    ],
)
def test_what_does_not_join_is_named(tmp_path: Path, change, message: str) -> None:
    with pytest.raises(InputError, match=message):
        joined(tmp_path, **change)


def test_a_uri_of_s3_is_read_where_the_job_staged_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    inputs = tmp_path / "processing/input"
    folder_of(inputs / "told", told_csv=TOLD)
    folder_of(inputs / "people/part", a_csv="id,age\nc,young\n", b_csv="id,age\na,old\nb,mid\n")
    sources = (("s3://b/told.csv", "told"), ("s3://b/people/", "people"))
    write_json(
        tmp_path / "config/processingjobconfig.json",
        {
            "ProcessingJobName": "j",
            "ProcessingInputs": [
                {"S3Input": {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/input/{name}"}}
                for uri, name in sources
            ],
        },
    )
    uris = {"predicted_label_dataset_uri": "s3://b/told.csv"}
    assert texts(joined(tmp_path, facet_dataset_uri="s3://b/people", **uris)) == EXPECTED
    assert texts(joined(tmp_path, facet_dataset_uri="s3://b/people/part", **uris)) == EXPECTED
    folder_of(inputs / "people", main_csv=MAIN)
    data = joined(
        tmp_path,
        main="not,the,data\n",
        facet_dataset_uri="s3://b/people/part",
        dataset_uri="s3://b/people/main.csv",
        **uris,
    )
    assert texts(data) == EXPECTED
