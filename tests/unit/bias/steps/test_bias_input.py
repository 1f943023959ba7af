import pyarrow as pa
import pytest

from sashiko.base.files import sha256_file
from sashiko.bias.steps import bias_input
from sashiko.contract.manifest import Snapshots, read_snapshots
from sashiko.errors import InputError
from tests.unit.bias.steps.bias_folders import Job, facet_rows, prediction_rows
from tests.unit.contract.documents import grouped

KEYS = ["c", "a", "b"]
FACETS = facet_rows(["a", "b", "c", "d"], ["old", "young", "old", "old"], ["yes", "no", "no", "no"])
PREDICTIONS = prediction_rows(KEYS, [0, 1, 0], [1, 1, 0])


def join(job: Job, *, predictions: pa.Table = PREDICTIONS, facets: pa.Table = FACETS) -> str:
    job.contract()
    job.parquet("predictions", predictions, file="predictions.parquet")
    job.parquet("facets", facets)
    job.run(bias_input)
    return (job.output("data") / "data.csv").read_text(encoding="utf-8")


def test_the_csv_holds_label_prediction_and_facets_by_key_and_nothing_else(job: Job) -> None:
    assert join(job) == "label,predicted_label,age\n1,1,old\n0,0,young\n0,1,old\n"


def test_it_says_which_facets_it_joined(job: Job) -> None:
    join(job)
    assert read_snapshots(job.output("meta")) == Snapshots(
        facets=sha256_file(job.folder("facets") / "data.parquet")
    )
    assert [path.name for path in job.output("data").iterdir()] == ["data.csv"]


def test_only_the_test_split_counts(job: Job) -> None:
    others = prediction_rows(["x", "y"], [1, 0], [1, 0], split="validation")
    text = join(job, predictions=pa.concat_tables([others, PREDICTIONS]))
    assert len(text.splitlines()) == 4


def test_keys_that_are_numbers_in_the_lake_match_their_text(job: Job) -> None:
    facets = pa.table({"loan_id": [10, 9], "age": ["old", "young"], "late": ["yes", "no"]})
    text = join(job, predictions=prediction_rows(["9", "10"], [0, 1], [0, 0]), facets=facets)
    assert text.splitlines()[1:] == ["1,0,old", "0,0,young"]


def test_a_value_with_a_comma_is_quoted(job: Job) -> None:
    facets = facet_rows(["a", "b", "c"], ["old, very", "young", "old"], ["yes", "no", "no"])
    assert '1,1,"old, very"\n' in join(job, facets=facets)


def test_the_group_variable_follows_the_facets(job: Job) -> None:
    job.contract(grouped())
    job.parquet("predictions", PREDICTIONS, file="predictions.parquet")
    job.parquet("facets", FACETS.append_column("branch", [["north", "south", "north", "south"]]))
    job.run(bias_input)
    lines = (job.output("data") / "data.csv").read_text().splitlines()
    head = "label,predicted_label,age,group_variable"
    assert lines == [head, "1,1,old,north", "0,0,young,south", "0,1,old,north"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"facets": FACETS.slice(1)}, r"1 of 3 keys, such as 'a', are not in .*facets"),
        ({"predictions": prediction_rows(["a", "a"], [1, 1], [1, 1])}, "more than once.*'a'"),
        ({"facets": pa.concat_tables([FACETS, FACETS])}, "4 values more than once"),
        ({"predictions": prediction_rows(KEYS, [1, 1, 0], [1, 1, 0])}, r"1 labels.*'c'.*`late`"),
        (
            {"predictions": prediction_rows(KEYS, [0, 1, 0], [1, 1, 0], split="train")},
            "no rows of split `test`",
        ),
        (
            {"facets": facet_rows(["a", "b", "c"], ["old", None, ""], ["yes", "no", "no"])},
            "facet `age` has 2 empty values of 3",
        ),
        ({"facets": FACETS.drop_columns("age")}, "lacks column `age`"),
    ],
)
def test_what_does_not_match_is_named_and_nothing_is_written(job: Job, change, message) -> None:
    with pytest.raises(InputError, match=message):
        join(job, **change)
    assert not (job.output("data") / "data.csv").exists()
