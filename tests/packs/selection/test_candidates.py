"""Which runs a selection needs, which candidates it refuses, and what an instance costs."""

import datetime as dt
import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from sashiko.account.prices import Price, Prices, Speed, TypicalJob
from sashiko.base.parquet import write_table
from sashiko.errors import InputError
from sashiko.pipeline.project import recipe_sha256
from sashiko.pipeline.runner.run_record import DataRecord, RunRecord, StepRecord
from sashiko.settings.environment import Settings, load_settings
from sashiko.settings.recipe import Recipe
from sashiko.steps.scored_splits import Split
from sashiko_packs.selection.candidates import (
    Bench,
    instance_cost,
    linear_candidate,
    time_requests,
)
from sashiko_packs.selection.record import Latency
from sashiko_packs.selection.rows import Runs, needed_runs, refuse_other_text
from tests.packs.selection.selections import judged_rows, selection

KIND = "ml.m5.large"


def settings() -> Settings:
    """An environment whose endpoint is at least one instance of `KIND`."""
    local = load_settings("local")
    changes = {"instance_types": {"cpu": KIND}, "min_instances": 1}
    return local.model_copy(update={"serving": local.serving.model_copy(update=changes)})


def prices(**instances: Price) -> Prices:
    job = TypicalJob(seconds=1, source="of the test")
    return Prices(region="us-east-1", typical_job=job, instances=instances)


def latency(seconds: float) -> Latency:
    return Latency(p50=seconds, p99=seconds, mean=seconds, requests=1, how="of the test")


def test_each_recipe_runs_once_and_as_far_as_needed() -> None:
    rows = judged_rows().recipe
    other = rows.model_copy(update={"name": "other"})
    unjudged = rows.model_copy(
        update={"name": "unjudged", "bias": rows.bias.model_copy(update={"judged": False})}
    )
    kinds = {"a": "linear", "b": "recipe", "c": "linear", "d": "linear", "e": "version"}
    file = selection(
        candidates={
            name: {"kind": kind, "recipe": "x"} | ({"version": 1} if kind == "version" else {})
            for name, kind in kinds.items()
        }
    )
    past = rows.model_copy(update={"name": "past"})
    recipes = {"a": rows, "b": rows, "c": other, "d": unjudged, "e": past}
    needs = needed_runs(file, recipes, rows)
    last = ((rows, "Compile"), (other, "Weights"), (unjudged, "Prepare"))
    assert needs == {recipe_sha256(item): step for item, step in last}


def prepared(home: Path, **splits: list[str]) -> RunRecord:
    """A run whose Prepare wrote splits of these keys; each row's text names it."""
    outputs = {}
    for name, keys in splits.items():
        write_table(
            home / "s3/bucket" / name / "data.parquet",
            pa.table(
                {
                    "key": keys,
                    "text": [f"Text of {key}" for key in keys],
                    "label": [row % 2 for row in range(len(keys))],
                }
            ),
        )
        outputs[name] = DataRecord(uri=f"s3://bucket/{name}", sha256="0" * 64)
    step = StepRecord(name="Prepare", type="Processing", outputs=outputs)
    return RunRecord(id="run-1", pipeline="p", start="2026-01-02T03:04:05+00:00", steps=(step,))


def rows_of(**texts: str) -> Split:
    """Test rows, by key."""
    return Split(tuple(texts), tuple(texts.values()), np.zeros(len(texts), dtype=np.int64))


class _PreparedRuns(Runs):
    """Runs of which one is complete."""

    run: RunRecord

    def of(self, recipe: Recipe) -> RunRecord:
        return self.run


def test_a_linear_candidate_without_injections_has_every_other_figure(tmp_path: Path) -> None:
    """The shipped selection of Bedrock asks for no injections, and ended in a traceback."""
    rows, local = judged_rows(), load_settings("local")
    recipe = rows.recipe.model_copy(
        update={"bias": rows.recipe.bias.model_copy(update={"judged": False})}
    )
    runs = _PreparedRuns(local, {}, home=tmp_path, command="")
    runs.run = prepared(tmp_path, train=["a", "b", "c", "d"], validation=["e", "f"])
    bench = Bench(
        selection=selection(), settings=local, prices=prices(), rows=rows, runs=runs, home=tmp_path
    )
    candidate = linear_candidate("linear", recipe, bench)
    assert candidate.record.injection is None
    assert len(candidate.model.scores) == len(rows.test.keys)
    assert candidate.record.latency.requests > 0


@pytest.mark.parametrize("split", ["train", "validation"])
def test_a_model_that_saw_a_test_row_is_refused(tmp_path: Path, split: str) -> None:
    runs = Runs(load_settings("local"), {}, home=tmp_path, command="")
    keys = {"train": ["a"], "validation": ["b"]}
    run = prepared(tmp_path, **keys)
    runs.refuse_seen(run, rows_of(c="another", d="text"), name="encoder")
    key = keys[split][0]
    with pytest.raises(InputError, match=f"candidate encoder: 1 of .* key {key}.* the {split}"):
        runs.refuse_seen(run, rows_of(c="another", **{key: "text"}), name="encoder")


@pytest.mark.parametrize(("key", "split"), [("a", "train"), ("b", "validation")])
def test_a_model_that_saw_the_text_of_a_test_row_under_another_key_is_refused(
    tmp_path: Path, key: str, split: str
) -> None:
    runs = Runs(load_settings("local"), {}, home=tmp_path, command="")
    run = prepared(tmp_path, train=["a"], validation=["b"])
    with pytest.raises(InputError, match=f"1 of .* key twin.* the {split} .*by text"):
        runs.refuse_seen(run, rows_of(c="another", twin=f" TEXT of\n{key}"), name="encoder")


@pytest.mark.parametrize("key", ["contract", "text.template", "text.missing"])
def test_a_candidate_that_reads_other_texts_is_refused(key: str) -> None:
    rows = judged_rows()
    recipe = rows.recipe
    section, _, field = key.partition(".")
    value = recipe.text.model_copy(update={field: "{title}!"}) if field else "other.yaml"
    refuse_other_text(recipe, rows, name="encoder")
    with pytest.raises(InputError, match=f"candidate encoder: key `{key}`"):
        refuse_other_text(recipe.model_copy(update={section: value}), rows, name="encoder")


def test_an_instance_costs_by_the_hour_whatever_it_does() -> None:
    price = Price(usd=0.36, source="a page", read=dt.date(2026, 1, 2))

    def cost(seconds: float, load: float) -> float | None:
        return instance_cost(
            prices(**{KIND: price}), settings(), target="cpu", latency=latency(seconds), load=load
        ).usd

    assert cost(0.01, 10) == pytest.approx(0.36 / 3600 / 10 * 1e6)
    assert cost(0.001, 10) == cost(0.01, 10)  # one instance does both
    assert cost(0.2, 10) == pytest.approx(3 * 0.36 / 3600 / 10 * 1e6)  # 5 a second, 70 % usable
    basis = instance_cost(
        prices(**{KIND: price}), settings(), target="cpu", latency=latency(0.01), load=10
    ).basis
    assert "$0.36 (a page, read 2026-01-02) an hour" in basis
    assert "Speed, measured here" in basis


def test_this_processors_speed_is_not_taken_for_an_accelerators() -> None:
    """87 ms on a CPU made seven ml.g5.xlarge of 50 predictions a second."""
    gpu = "ml.g5.xlarge"
    local = settings()
    local = local.model_copy(
        update={"serving": local.serving.model_copy(update={"instance_types": {"gpu": gpu}})}
    )
    known = prices(**{gpu: Price(usd=1.4, source="a page", read=dt.date(2026, 1, 2))})
    speed = Speed(per_second=878, what="a model", source="its page", read=dt.date(2025, 2, 13))
    unknown = instance_cost(known, local, target="gpu", latency=latency(0.087), load=50)
    assert unknown.usd is None
    assert f"`speeds.{gpu}`" in unknown.basis
    cost = instance_cost(
        known.model_copy(update={"speeds": {gpu: speed}}), local, target="gpu",
        latency=latency(0.087), load=50,
    )  # fmt: skip
    assert cost.usd == pytest.approx(1.4 / 3600 / 50 * 1e6)  # one instance
    assert "Speed, assumed, not measured: 878 a second each (a model; its page" in cost.basis


def test_other_work_on_the_machine_does_not_change_the_speed(monkeypatch) -> None:
    """Four of five rounds are ten times slower."""
    clock = itertools.count()
    times = np.repeat(np.cumsum([0.01] * 10 + [0.1] * 160 + [0.01] * 40), 2)
    starts = np.concatenate([[0.0], times])
    monkeypatch.setattr(
        "sashiko_packs.selection.candidates.time.perf_counter", lambda: float(starts[next(clock)])
    )
    assert time_requests(lambda _: None, ["a"]).mean == pytest.approx(0.01)


def test_without_a_price_of_the_instance_the_cost_is_unknown() -> None:
    cost = instance_cost(prices(), settings(), target="cpu", latency=latency(0.01), load=10)
    assert cost.usd is None
    assert KIND in cost.basis
