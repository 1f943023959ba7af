"""BiasInput and Weights: the steps that join the facets by key."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_file, sha256_tree
from sashiko.bias.steps import bias_input, weights
from sashiko.contract.manifest import Snapshots, read_snapshots
from sashiko.errors import InputError
from tests.unit.bias.steps.bias_folders import Job, facet_rows, prediction_rows
from tests.unit.contract.documents import grouped, two_facets

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
    joined = sha256_file(job.folder("facets") / "data.parquet")
    predictions = sha256_tree(job.folder("predictions"))
    assert read_snapshots(job.output("meta")) == Snapshots(facets=joined, predictions=predictions)
    assert [path.name for path in job.output("data").iterdir()] == ["data.csv"]


def test_only_the_test_split_counts(job: Job) -> None:
    others = prediction_rows(["x", "y"], [1, 0], [1, 0], split="validation")
    text = join(job, predictions=pa.concat_tables([others, PREDICTIONS]))
    assert len(text.splitlines()) == 4


def test_keys_that_are_numbers_in_the_lake_match_their_text(job: Job) -> None:
    facets = pa.table({"loan_id": [10, 9], "age": ["old", "young"], "late": ["yes", "no"]})
    text = join(job, predictions=prediction_rows(["9", "10"], [0, 1], [0, 0]), facets=facets)
    assert text.splitlines()[1:] == ["1,0,old", "0,0,young"]


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


TRAIN_KEYS = [f"k{i}" for i in range(8)]
AGES = ["old"] * 4 + ["young"] * 4
LABELS = [1, 0, 0, 0, 1, 1, 1, 0]


def weigh(
    job: Job,
    *,
    strength: float = 1.0,
    facets: tuple[str, ...] = ("age",),
    keys: list[Any] = TRAIN_KEYS,
    ages: list[str | None] = AGES,
    known: list[str] | None = None,
) -> pa.Table:
    job.contract()
    job.section("reweighing", {"facets": list(facets), "strength": strength})
    known = [*keys, "other"] if known is None else known
    extra = len(known) - len(ages)
    job.parquet("facets", facet_rows(known, [*ages, *["old"] * extra], ["yes"] * len(known)))
    return job.weigh(pa.table({"key": keys, "label": LABELS}))


def test_the_weighted_groups_have_the_label_equally_often(job: Job) -> None:
    table = weigh(job)
    assert table.schema.equals(pa.schema([("key", pa.string()), ("weight", pa.float64())]))
    weight = dict(zip(table["key"].to_pylist(), table["weight"].to_pylist(), strict=True))
    # P(old) P(yes) / P(old, yes) = 1/2 * 1/2 / (1/8)
    assert weight["k0"] == pytest.approx(2)
    for group in (TRAIN_KEYS[:4], TRAIN_KEYS[4:]):
        total = sum(weight[key] for key in group)
        assert sum(
            weight[k] for k in group if LABELS[TRAIN_KEYS.index(k)]
        ) / total == pytest.approx(0.5)
    assert np.mean(list(weight.values())) == pytest.approx(1)
    used = sha256_file(job.folder("facets") / "data.parquet")
    assert read_snapshots(job.output("weights")) == Snapshots(facets=used)


def test_rows_are_matched_by_key_and_not_by_place_and_come_ordered_by_key(job: Job) -> None:
    straight = weigh(job)
    turned = weigh(job, known=TRAIN_KEYS, ages=AGES)
    assert turned.equals(straight)
    backwards = weigh(job, known=["other", *TRAIN_KEYS[::-1]], ages=["old", *AGES[::-1]])
    assert backwards.equals(straight)
    assert straight["key"].to_pylist() == TRAIN_KEYS
    shuffled = weigh(job, strength=0, keys=TRAIN_KEYS[::-1], known=TRAIN_KEYS)
    assert shuffled["key"].to_pylist() == TRAIN_KEYS


def test_strength_0_weighs_all_alike_even_without_facets(job: Job) -> None:
    assert weigh(job, strength=0, facets=())["weight"].to_pylist() == [1.0] * 8
    assert weigh(job, strength=0)["weight"].to_pylist() == [1.0] * 8


def test_strength_2_overcorrects_and_a_pair_that_never_occurs_needs_no_weight() -> None:
    groups, labels = np.repeat([0, 1], 10), np.array([1] * 8 + [0] * 2 + [1] * 3 + [0] * 7)
    strong = weights.reweighing_weights(groups, labels, strength=2, classes=2)
    assert strong.mean() == pytest.approx(1)
    rates = [np.average(labels[groups == one], weights=strong[groups == one]) for one in (0, 1)]
    assert rates[1] > rates[0]
    lone = weights.reweighing_weights(
        np.array([0, 0, 1]), np.array([0, 1, 1]), strength=1, classes=2
    )
    assert np.isfinite(lone).all()


def test_groups_are_joint_over_the_facets(job: Job) -> None:
    """Each pair of old and f, old and m has one label alone; young f has both."""
    job.contract(two_facets())
    job.section("reweighing", {"facets": ["age", "sex"], "strength": 1})
    facets = facet_rows(
        TRAIN_KEYS[:4], ["old", "old", "young", "young"], ["yes", "no", "yes", "no"]
    )
    job.parquet("facets", facets.append_column("sex", [["f", "m", "f", "f"]]))
    job.weigh(pa.table({"key": TRAIN_KEYS[:4], "label": [1, 0, 1, 0]}))
    table = pq.read_table(job.output("weights") / "weights.parquet")
    assert table["weight"].to_pylist() == pytest.approx([2 / 3, 2 / 3, 4 / 3, 4 / 3])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"known": TRAIN_KEYS[1:], "ages": AGES[1:]},
            r"1 of 8 keys, such as 'k0', are not in .*facets",
        ),
        (
            {"known": [*TRAIN_KEYS, "k1"]},
            r"facets.*`loan_id` has 1 values more than once, such as 'k1'",
        ),
        (
            {"keys": ["k0", *TRAIN_KEYS[:7]], "known": TRAIN_KEYS},
            r"data.*`key` has 1 values more than once",
        ),
        ({"keys": [None, *TRAIN_KEYS[1:]], "known": TRAIN_KEYS}, r"data.*`key` has 1 nulls"),
        ({"ages": [None, *AGES[1:]]}, "facet `age` has 1 empty values of 8"),
        ({"facets": ("title",)}, r"reweighing\.facets: `title` is not a facet .* age"),
        ({"facets": ()}, r"reweighing\.strength is 1, but reweighing\.facets is empty"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(job: Job, change, message: str) -> None:
    with pytest.raises(InputError, match=message):
        weigh(job, **change)
    assert not (job.output("weights") / "weights.parquet").exists()


def test_nothing_of_groups_or_weights_is_logged(job: Job, capsys) -> None:
    weigh(job)
    logged = "".join(capsys.readouterr())
    assert "8 weights" in logged
    assert "old" not in logged
