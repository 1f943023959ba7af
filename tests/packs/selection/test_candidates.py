import dataclasses
import datetime as dt
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sashiko.account.prices import Price, Prices, Speed, TypicalJob
from sashiko.base.files import write_json
from sashiko.base.parquet import write_table
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import ModelScores, two_classes
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.pipeline.project import recipe_sha256
from sashiko.pipeline.runner.run_record import DataRecord, RunRecord, StepRecord
from sashiko.settings.environment import Settings, load_settings
from sashiko.steps.injection import injection_set
from sashiko.steps.scored_splits import Split
from sashiko_packs.selection.candidates import (
    Bench,
    Responder,
    Scored,
    bedrock_candidate,
    draw_examples,
    instance_cost,
    open_responder,
    time_requests,
)
from sashiko_packs.selection.file import Selection
from sashiko_packs.selection.record import (
    RULE,
    CandidateRecord,
    Choice,
    Cost,
    Latency,
    choose,
    lead_over,
    rows_needed,
    standing_of,
)
from sashiko_packs.selection.rows import (
    JudgedRows,
    Runs,
    needed_runs,
    refuse_classified,
    refuse_other_text,
)
from sashiko_packs.selection.run import judge
from tests.packs.selection.converse_service import Service, answered, serving
from tests.packs.selection.selections import (
    MODEL,
    TOKEN_PRICE,
    answers,
    bedrock,
    judged_rows,
    scored,
    selection,
    selection_value,
    validation,
    with_bedrock,
    wrong_on,
)
from tests.unit.contract.documents import contract_of, document
from verification.benchmarks.selection_rule import draw

ROWS = judged_rows()
REPOSITORY = Path(__file__).parents[3]
LICENCES = ("Apache-2.0", "LicenseRef-Provider")


def choice(*candidates: Scored, **changes: Any) -> Choice:
    file = selection(**changes)
    judged = [judge(item, ROWS, file, licences=LICENCES) for item in candidates]
    models = {item.record.name: item.model for item in candidates if item.model is not None}
    return choose(judged, models, ROWS.test.labels, selection=file, section=ROWS.recipe.evaluate)


BEST = scored("best", wrong_on(ROWS, 0.10), usd=90.0)
WORSE = scored("worse", wrong_on(ROWS, 0.25, seed=2), usd=1.0)


def named(result: Choice, name: str) -> CandidateRecord:
    return next(item for item in result.candidates if item.name == name)


def outcomes(result: Choice) -> Mapping[str, str]:
    return {item.name: item.outcome for item in result.candidates}


def test_the_cheapest_of_those_shown_to_be_as_good_is_chosen() -> None:
    near = scored("near", wrong_on(ROWS, 0.105), usd=5.0)
    result = choice(BEST, near, WORSE)
    assert outcomes(result) == {"best": "as good", "near": "chosen", "worse": "worse"}
    assert (result.best, result.chosen, result.unjudged) == ("best", "near", ())
    leads = {item.name: item.lead_of_best for item in result.candidates}
    assert leads["worse"].low > 0.02 > leads["near"].high
    assert choice(BEST, WORSE).chosen == "best"
    assert choice(BEST, WORSE, minimum_effect=0.3).chosen == "worse"


def test_a_cheap_one_that_may_be_worse_is_undecided_and_not_chosen() -> None:
    cheap = scored("cheap", wrong_on(ROWS, 0.115, seed=1), usd=1.0)
    dear = scored("dear", wrong_on(ROWS, 0.115, seed=2), usd=99.0)
    alike = scored("alike", wrong_on(ROWS, 0.115, seed=3), usd=90.0)
    result = choice(BEST, cheap, dear, alike)
    assert outcomes(result) == {
        "best": "chosen", "cheap": "undecided", "dear": "undecided", "alike": "undecided"
    }  # fmt: skip
    cheap_record = named(result, "cheap")
    lead = cheap_record.lead_of_best
    assert lead.low < 0.02 < lead.high
    assert cheap_record.rows_needed > len(ROWS.test.labels)
    # The others would not be chosen if they were as good, so nothing is open about them.
    (unjudged,) = result.unjudged
    assert unjudged == f"cheap: undecided, needs about {cheap_record.rows_needed:,} rows"


def test_models_that_agree_on_a_few_rows_are_not_shown_to_be_as_good() -> None:
    labels = np.arange(24) % 2
    same = ModelScores(two_classes(labels.astype(np.float64)), 0.5)
    section = ROWS.recipe.evaluate
    lead = lead_over(same, same, labels, "balanced_accuracy", section=section)
    assert lead.value == 0
    assert lead.high > 0.05
    many = np.arange(3000) % 2
    same = ModelScores(two_classes(many.astype(np.float64)), 0.5)
    assert lead_over(same, same, many, "balanced_accuracy", section=section).high < 0.005


def test_enough_rows_keep_an_equal_candidate_and_drop_a_worse_one() -> None:
    section = ROWS.recipe.evaluate
    for loss, expected in ((0.0, "as good"), (0.08, "worse")):
        models = draw(rows=30_000, loss=loss, seed=1)
        lead = lead_over(*models, "balanced_accuracy", section=section)
        assert standing_of(lead, minimum_effect=0.02) == expected


def test_as_many_rows_as_it_says_decide_with_a_power_of_four_in_five() -> None:
    """A lead of 0 with an interval of 0.03 to either side at 1,000 rows, in normal draws."""
    lead = Estimate(value=0.0, low=-0.03, high=0.03)
    needed = rows_needed(lead, minimum_effect=0.02, rows=1000)
    half = 0.03 * np.sqrt(1000 / needed)
    drawn = np.random.default_rng(0).normal(0.0, half / 1.959964, 100_000)
    assert np.mean(drawn + half < 0.02) == pytest.approx(0.8, abs=0.02)
    assert rows_needed(Estimate(0.0, -0.01, 0.01), minimum_effect=0.02, rows=1000) is None
    assert rows_needed(Estimate(0.02, -0.01, 0.05), minimum_effect=0.02, rows=1000) is None


def test_at_equal_costs_the_better_is_chosen_and_one_that_fails_a_must_never() -> None:
    near = scored("near", wrong_on(ROWS, 0.105))
    best = scored("best", wrong_on(ROWS, 0.10))
    result = choice(near, best)
    assert result.chosen == "best"
    assert result.reason.startswith(
        "it has the highest balanced accuracy of those that fail no must, and none that"
    )

    good = scored("good", wrong_on(ROWS, 0.10), usd=90.0)
    unlicensed = scored("unlicensed", wrong_on(ROWS, 0.01), usd=0.1, licence="GPL-3.0")
    result = choice(good, unlicensed)
    assert outcomes(result) == {"good": "chosen", "unlicensed": "dropped"}
    assert "the highest balanced accuracy of those that fail no must" in result.reason
    (failed,) = named(result, "unlicensed").failed
    assert failed.name == "licence"


def test_an_unknown_cost_is_never_the_cheapest_and_one_that_alone_is_left_needs_none() -> None:
    best = scored("best", wrong_on(ROWS, 0.10), usd=None)
    assert choice(best, WORSE).chosen == "best"
    near = scored("near", wrong_on(ROWS, 0.105), usd=5.0)
    result = choice(best, near)
    assert result.chosen == "near"
    assert result.unjudged == ("the cost of best is not known",)
    neither = choice(best, scored("near", wrong_on(ROWS, 0.105), usd=None))
    assert neither.chosen is None
    assert "no cost is known of best, near" in neither.reason


@pytest.mark.parametrize(("refused", "dropped"), [(5, False), (38, True)])
def test_one_that_refuses_too_many_rows_is_dropped(refused: int, dropped: bool) -> None:
    given = answers(hand_made=False, valid=100 - refused, refused=refused)
    model = scored("model", wrong_on(ROWS, 0.10), usd=1.0, kind="bedrock", answers=given)
    result = choice(scored("other", wrong_on(ROWS, 0.30), usd=9.0), model)
    assert (outcomes(result)["model"] == "dropped") == dropped
    check = next(item for item in named(result, "model").musts if item.name == "unanswered")
    assert (check.value, check.threshold) == (pytest.approx(refused / 100), 0.05)
    assert check.low < check.value < check.high
    assert f"{refused} refused of 100" in check.reason


def test_a_biased_one_is_dropped_by_the_gates_of_the_rows_recipe() -> None:
    biased = validation(handicap=0.3).scored.scores[:, 1]
    fair = scored("fair", wrong_on(ROWS, 0.30), usd=90.0)
    result = choice(fair, scored("biased", biased, usd=0.1))
    assert outcomes(result) == {"fair": "chosen", "biased": "dropped"}
    failed = named(result, "biased").failed
    assert "DI age=old" in {check.name for check in failed}


def test_without_scores_a_gate_that_needs_them_fails_with_that_reason() -> None:
    musts = selection_value()["musts"] | {
        "quality": [{"metric": "auc", "minimum": 0.5, "reason": "of use"}]
    }
    decisions = np.round(wrong_on(ROWS, 0.05))
    result = choice(
        scored("scores", wrong_on(ROWS, 0.2)),
        scored("decisions", decisions, kind="bedrock"),
        musts=musts,
    )
    item = named(result, "decisions")
    assert item.outcome == "dropped"
    assert [check.reason.partition(":")[0] for check in item.failed] == ["no scores"]
    assert set(item.metrics) == {"accuracy", "balanced_accuracy", "f1"}
    assert item.threshold is None


@pytest.mark.parametrize("usd", [None, 0.01])
def test_answers_written_by_hand_give_no_figure_and_are_never_chosen(usd: float | None) -> None:
    by_hand = scored(
        "by-hand", wrong_on(ROWS, 0.0), usd=usd, kind="bedrock", answers=answers(hand_made=True)
    )
    result = choice(scored("real", wrong_on(ROWS, 0.2)), by_hand)
    item = named(result, "by-hand")
    assert (item.outcome, item.metrics, item.bias) == ("not measured", {}, ())
    assert result.chosen == "real"
    assert result.unjudged == ("by-hand: its answers were written by hand",)


def test_the_page_of_the_docs_has_the_same_rule() -> None:
    page = " ".join((REPOSITORY / "docs/choose-a-model.md").read_text().split())
    for statement in RULE:
        text = statement.format(
            metric="metric", minimum_effect="`minimum_effect`", best="highest", better="higher"
        )
        assert text in page


KIND = "ml.m5.large"


def settings() -> Settings:
    """An environment whose endpoint is at least one instance of `KIND`."""
    local = load_settings("local")
    changes = {"instance_types": {"cpu": KIND}, "min_instances": 1}
    return local.model_copy(update={"serving": local.serving.model_copy(update=changes)})


def prices(**known: Any) -> Prices:
    job = TypicalJob(seconds=1, source="of the test")
    return Prices(region="us-east-1", typical_job=job, **known)


def latency(seconds: float) -> Latency:
    return Latency(p50=seconds, p99=seconds, mean=seconds, requests=1, how="of the test")


def test_each_recipe_runs_once_and_as_far_as_needed() -> None:
    rows = judged_rows().recipe
    other = rows.model_copy(update={"name": "other"})
    kinds = {"a": "recipe", "c": "linear", "e": "version", "f": "version"}
    file = selection(
        candidates={
            name: {"kind": kind, "recipe": "x"} | ({"version": 1} if kind == "version" else {})
            for name, kind in kinds.items()
        }
    )
    past = rows.model_copy(update={"name": "past"})
    recipes = {"a": rows, "c": other, "e": past, "f": past}
    needs = needed_runs(file, recipes, rows)
    assert needs == {recipe_sha256(item): "Compile" for item in (rows, other)}
    versions = dict.fromkeys("ef", past)
    alone = selection(candidates={name: file.candidates[name] for name in versions})
    assert needed_runs(alone, versions, rows) == {recipe_sha256(rows): "DataGate,Prepare"}


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
                    "row": [json.dumps({"title": f"Text of {key}"}) for key in keys],
                }
            ),
        )
        outputs[name] = DataRecord(uri=f"s3://bucket/{name}", sha256="0" * 64)
    meta = {"kind": "time", "labels": ["paid", "late"], "columns": ["title"], "splits": {},
            "kinds": {"title": "text"}, "removed_repeats": {}, "removed_over_limit": 0}  # fmt: skip
    write_json(home / "s3/bucket/meta/split.json", meta)
    outputs["meta"] = DataRecord(uri="s3://bucket/meta", sha256="0" * 64)
    step = StepRecord(name="Prepare", type="Processing", outputs=outputs)
    return RunRecord(id="run-1", pipeline="p", start="2026-01-02T03:04:05+00:00", steps=(step,))


def rows_of(**texts: str) -> Split:
    return Split(tuple(texts), tuple(texts.values()), np.zeros(len(texts), dtype=np.int64))


@pytest.mark.parametrize(("key", "split"), [("a", "train"), ("b", "validation")])
def test_a_model_that_saw_a_test_row_or_its_text_is_refused(tmp_path, key, split) -> None:
    runs = Runs(load_settings("local"), {}, home=tmp_path, command="")
    run = prepared(tmp_path, train=["a"], validation=["b"])
    runs.refuse_seen(run, rows_of(c="another", d="text"), name="encoder")
    with pytest.raises(InputError, match=f"candidate encoder: 1 of .* key {key}.* the {split}"):
        runs.refuse_seen(run, rows_of(c="another", **{key: "text"}), name="encoder")
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

    known = prices(instances={KIND: price})

    def cost(seconds: float, load: float) -> Cost:
        return instance_cost(known, settings(), target="cpu", latency=latency(seconds), load=load)

    assert cost(0.01, 10).usd == pytest.approx(0.36 / 3600 / 10 * 1e6)
    assert cost(0.001, 10).usd == cost(0.01, 10).usd  # one instance does both
    assert cost(0.2, 10).usd == pytest.approx(3 * 0.36 / 3600 / 10 * 1e6)  # 5 a second, 70 % usable
    basis = cost(0.01, 10).basis
    assert "$0.36 (a page, read 2026-01-02) an hour" in basis
    assert "Speed, measured here" in basis


def test_this_processors_speed_is_not_taken_for_an_accelerators() -> None:
    """87 ms on a CPU made seven ml.g5.xlarge of 50 predictions a second."""
    gpu = "ml.g5.xlarge"
    local = settings()
    local = local.model_copy(
        update={"serving": local.serving.model_copy(update={"instance_types": {"gpu": gpu}})}
    )
    known = prices(instances={gpu: Price(usd=1.4, source="a page", read=dt.date(2026, 1, 2))})
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


FEW = 40  # rows


def few_rows() -> JudgedRows:
    """The first rows; bias is not judged on so few."""
    rows = judged_rows()
    test = dataclasses.replace(
        rows.test, keys=rows.test.keys[:FEW], texts=rows.test.texts[:FEW],
        labels=rows.test.labels[:FEW],
    )  # fmt: skip
    recipe = rows.recipe.model_copy(
        update={"bias": rows.recipe.bias.model_copy(update={"gates": ()})}
    )
    return dataclasses.replace(rows, test=test, recipe=recipe, facets=None)


def bench(selection: Selection, rows: JudgedRows, home: Path) -> Bench:
    settings = load_settings("local")
    return Bench(
        selection=selection, settings=settings, prices=prices(), rows=rows,
        runs=Runs(settings, {}, home=home, command=""), home=home,
    )  # fmt: skip


@contextmanager
def bedrock_service(monkeypatch, reply) -> Iterator[Service]:
    """A service that the command's own client reaches."""
    with serving(reply) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", service.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        yield service


def score(candidate, folder, *, selection=None, rows=None, known=None, record=True) -> Scored:
    selection, rows = selection or with_bedrock(), rows or few_rows()
    with open_responder(
        selection,
        folder / "r.jsonl",
        known or prices(),
        record=record,
        command="sashiko select",
    ) as responder:
        assert isinstance(responder, Responder)
        return bedrock_candidate("nova", candidate, bench(selection, rows, folder), responder)


def truth(rows: JudgedRows) -> Callable[[str, int], Any]:
    labels = dict(zip(rows.test.texts, rows.test.labels, strict=True))

    def reply(prompt: str, _: int) -> Any:
        text = prompt.rsplit("\n\n", 1)[-1].removesuffix("\nLate?")
        return answered("yes" if labels.get(text) else "no")

    return reply


def test_decisions_tokens_cost_and_latency_come_from_the_answers(monkeypatch, tmp_path) -> None:
    rows = few_rows()
    with bedrock_service(monkeypatch, truth(rows)):
        result = score(bedrock(), tmp_path, known=prices(tokens={MODEL: TOKEN_PRICE}))
    assert result.model.predicted.tolist() == rows.test.labels.tolist()
    assert (result.record.answers.valid, result.record.answers.input_tokens) == (FEW, FEW * 100)
    assert result.record.cost.usd == pytest.approx(100 * 1.0 + 3 * 4.0)
    assert "of the test, read 2026-01-02" in result.record.cost.basis
    assert result.record.latency.p50 == 0.25
    record = judge(result, rows, with_bedrock(), licences=("LicenseRef-Provider",))
    assert record.metrics["balanced_accuracy"].value == 1
    assert "auc" not in record.metrics


def test_a_price_of_another_region_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = prices(tokens={MODEL: TOKEN_PRICE})
    with bedrock_service(monkeypatch, lambda *_: answered()):
        elsewhere = score(bedrock(region="us-west-2"), tmp_path, known=known)
    assert elsewhere.record.cost.usd is None
    assert f"no price of {MODEL} in us-west-2" in elsewhere.record.cost.basis
    own = prices(tokens={MODEL: TOKEN_PRICE | {"region": "us-west-2"}})
    priced = score(bedrock(region="us-west-2"), tmp_path, known=own, record=False)
    assert priced.record.cost.usd is not None


def test_a_model_that_answers_nothing_valid_is_not_asked_about_every_row(monkeypatch, tmp_path):
    """A model that reasons first has no answer within 16 tokens."""
    with (
        bedrock_service(monkeypatch, lambda *_: answered("", stop_reason="max_tokens")) as service,
        pytest.raises(InputError, match=r"none of the first 20 .* max_tokens 20.*`max_tokens`"),
    ):
        score(bedrock(), tmp_path)
    assert len(service.bodies) == 20


def test_where_it_does_not_answer_the_files_label_is_decided(monkeypatch, tmp_path) -> None:
    def reply(_: str, number: int) -> Any:
        reasons = ("end_turn", "content_filtered", "max_tokens")
        return answered("yes", stop_reason=reasons[number % 3])

    with bedrock_service(monkeypatch, reply):
        result = score(bedrock(unanswered="paid"), tmp_path)
    answers = result.record.answers
    assert answers.valid + answers.invalid + answers.refused == FEW
    assert min(answers.valid, answers.invalid, answers.refused) >= FEW // 3
    assert result.model.predicted.sum() == answers.valid
    other = score(bedrock(unanswered="late"), tmp_path, record=False)
    assert other.model.predicted.sum() == FEW


def test_injections_that_turn_decisions_are_counted_and_refusals_apart(monkeypatch, tmp_path):
    rows = few_rows()
    known, honest = set(rows.test.texts), truth(rows)
    attacks = 0

    def gullible(prompt: str, number: int) -> Any:
        nonlocal attacks
        text = next(text for text in known if text in prompt)
        if prompt == f"{text}\nLate?" or any(item in prompt for item in injection_set().neutral):
            return honest(f"{text}\nLate?", number)
        attacks += 1
        if attacks % 2:
            return answered(stop_reason="guardrail_intervened")
        return answered("no" if rows.test.labels[rows.test.texts.index(text)] else "yes")

    with bedrock_service(monkeypatch, gullible):
        result = score(bedrock(), tmp_path, selection=with_bedrock(injections=20), rows=rows)
    figures = result.record.injection
    assert figures.refused + figures.overall.rows == 20
    assert (figures.refused, figures.overall.rate.value) == (10, 1.0)
    assert (figures.overall.control_flips, figures.overall.above_control.value) == (0, 1.0)


@pytest.mark.parametrize("model", ["global.amazon.nova-2-lite-v1:0", "eu.amazon.nova-2-lite-v1:0"])
def test_nothing_is_sent_to_a_geography_that_is_not_allowed(monkeypatch, tmp_path, model) -> None:
    rows = few_rows()
    with bedrock_service(monkeypatch, truth(rows)) as service:
        result = score(bedrock(model=model), tmp_path)
    assert service.bodies == []
    record = judge(result, rows, with_bedrock(), licences=("LicenseRef-Provider",))
    assert not record.measured
    (failed,) = record.failed
    assert failed.name == "geography"
    assert "allowed geographies: us" in failed.reason


def test_a_template_with_a_classified_column_is_refused(tmp_path: Path) -> None:
    """Check of the code behind the recipe's own check, which a fork might lift."""
    recipe = judged_rows().recipe
    contract = contract_of(document(), tmp_path)
    classified = next(c.name for c in contract.columns if c.classification != "none")
    text = recipe.text.model_copy(update={"template": f"{{title}} {{{classified}}}"})
    refuse_classified(recipe, contract)
    with pytest.raises(InputError, match=f"`{classified}` is classified"):
        refuse_classified(recipe.model_copy(update={"text": text}), contract)


def test_a_request_has_the_rows_text_and_nothing_else_of_it(monkeypatch, tmp_path) -> None:
    rows = few_rows()
    with bedrock_service(monkeypatch, truth(rows)) as service:
        score(bedrock(), tmp_path, rows=rows)
    prompts = {body["messages"][0]["content"][0]["text"] for body in service.bodies}
    assert prompts == {f"{text}\nLate?" for text in rows.test.texts}
    assert all(set(body) == {"messages", "inferenceConfig"} for body in service.bodies)


def test_examples_are_training_rows_half_of_each_label() -> None:
    rows = few_rows()
    drawn = draw_examples(bedrock(examples=6), rows.train, rows.labels, seed=0)
    assert [item.answer for item in drawn] == ["no", "yes"] * 3
    labels = dict(zip(rows.train.texts, rows.train.labels, strict=True))
    assert [labels[item.text] for item in drawn] == [0, 1] * 3
    assert drawn == draw_examples(bedrock(examples=6), rows.train, rows.labels, seed=0)
    one_label = dataclasses.replace(rows.train, labels=np.ones_like(rows.train.labels))
    with pytest.raises(InputError, match="no 3 rows of each label"):
        draw_examples(bedrock(examples=6), one_label, rows.labels, seed=0)


def test_a_prompt_of_other_labels_and_a_record_of_nothing_are_refused(tmp_path: Path) -> None:
    prompt = {"template": "{text}", "answers": {"good": "yes", "bad": "no"}}
    with pytest.raises(InputError, match="the contract's labels are paid and late"):
        score(bedrock(prompt=prompt, unanswered="good"), tmp_path, record=False)

    with (
        pytest.raises(InputError, match="no candidate of kind bedrock"),
        open_responder(selection(), tmp_path / "r.jsonl", prices(), record=True, command=""),
    ):
        pass
