import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sashiko.account.prices import Prices, TypicalJob
from sashiko.errors import InputError
from sashiko.evaluation.injections.injection_set import injection_set
from sashiko.settings.environment import load_settings
from sashiko_packs.selection.candidates import (
    Bench,
    Responder,
    Scored,
    bedrock_candidate,
    draw_examples,
    open_responder,
)
from sashiko_packs.selection.file import BedrockCandidate, Selection
from sashiko_packs.selection.rows import JudgedRows, Runs, refuse_classified
from sashiko_packs.selection.run import judge
from tests.packs.selection.converse_service import Service, answered, error, serving
from tests.packs.selection.selections import MODEL, TOKEN_PRICE, bedrock, judged_rows, with_bedrock
from tests.unit.contract.documents import contract_of, document

FEW = 40  # rows


def few_rows() -> JudgedRows:
    """The first rows; bias is not judged on so few."""
    rows = judged_rows()
    test = dataclasses.replace(
        rows.test,
        keys=rows.test.keys[:FEW],
        texts=rows.test.texts[:FEW],
        labels=rows.test.labels[:FEW],
    )
    recipe = rows.recipe.model_copy(
        update={"bias": rows.recipe.bias.model_copy(update={"gates": ()})}
    )
    return dataclasses.replace(rows, test=test, recipe=recipe, facets=None)


def prices(**tokens: Any) -> Prices:
    job = TypicalJob(seconds=1, source="of the test")
    return Prices(region="us-east-1", typical_job=job, tokens=tokens)


def bench(selection: Selection, rows: JudgedRows, home: Path) -> Bench:
    settings = load_settings("local")
    return Bench(
        selection=selection,
        settings=settings,
        prices=prices(),
        rows=rows,
        runs=Runs(settings, {}, home=home, command=""),
        home=home,
    )


@contextmanager
def bedrock_service(
    monkeypatch: pytest.MonkeyPatch, reply: Callable[[str, int], Any]
) -> Iterator[Service]:
    """A service that the command's own client reaches."""
    with serving(reply) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", service.url)
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
        yield service


def score(
    candidate: BedrockCandidate,
    folder: Path,
    *,
    selection: Selection | None = None,
    rows: JudgedRows | None = None,
    known: Prices | None = None,
    record: bool = True,
) -> Scored:
    selection, rows = selection or with_bedrock(), rows or few_rows()
    with open_responder(
        selection, folder / "r.jsonl", known or prices(), record=record, command="sashiko select"
    ) as responder:
        assert isinstance(responder, Responder)
        return bedrock_candidate("nova", candidate, bench(selection, rows, folder), responder)


def truth(rows: JudgedRows) -> Callable[[str, int], Any]:
    """Answers each test row as it is labelled."""
    labels = dict(zip(rows.test.texts, rows.test.labels, strict=True))

    def reply(prompt: str, _: int) -> Any:
        text = prompt.rsplit("\n\n", 1)[-1].removesuffix("\nLate?")
        return answered("yes" if labels.get(text) else "no")

    return reply


def test_decisions_tokens_cost_and_latency_come_from_the_answers(monkeypatch, tmp_path) -> None:
    rows = few_rows()
    with bedrock_service(monkeypatch, truth(rows)):
        result = score(bedrock(), tmp_path, known=prices(**{MODEL: TOKEN_PRICE}))
    assert (result.model.scores >= result.model.threshold).tolist() == rows.test.labels.tolist()
    assert (result.record.answers.valid, result.record.answers.input_tokens) == (FEW, FEW * 100)
    assert result.record.cost.usd == pytest.approx(100 * 1.0 + 3 * 4.0)
    assert "of the test, read 2026-01-02" in result.record.cost.basis
    assert result.record.latency.p50 == 0.25
    record = judge(result, rows, with_bedrock(), licences=("LicenseRef-Provider",))
    assert record.metrics["balanced_accuracy"].value == 1
    assert "auc" not in record.metrics


def test_a_price_of_another_region_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    known = prices(**{MODEL: TOKEN_PRICE})
    with bedrock_service(monkeypatch, lambda *_: answered()):
        elsewhere = score(bedrock(region="us-west-2"), tmp_path, known=known)
    assert elsewhere.record.cost.usd is None
    assert f"no price of {MODEL} in us-west-2" in elsewhere.record.cost.basis
    own = prices(**{MODEL: TOKEN_PRICE | {"region": "us-west-2"}})
    priced = score(bedrock(region="us-west-2"), tmp_path, known=own, record=False)
    assert priced.record.cost.usd is not None


def test_a_model_that_answers_nothing_valid_is_not_asked_about_every_row(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
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
    assert result.model.scores.sum() == answers.valid
    other = score(bedrock(unanswered="late"), tmp_path, record=False)
    assert other.model.scores.sum() == FEW


def test_injections_that_turn_decisions_are_counted_and_refusals_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
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


def test_a_prompt_of_other_labels_is_refused(tmp_path: Path) -> None:
    prompt = {"template": "{text}", "answers": {"good": "yes", "bad": "no"}}
    with pytest.raises(InputError, match="the contract's labels are paid and late"):
        score(bedrock(prompt=prompt, unanswered="good"), tmp_path, record=False)


def test_record_without_a_candidate_of_bedrock_is_refused(tmp_path: Path) -> None:
    from tests.packs.selection.selections import selection

    with (
        pytest.raises(InputError, match="no candidate of kind bedrock"),
        open_responder(selection(), tmp_path / "r.jsonl", prices(), record=True, command=""),
    ):
        pass


def test_a_service_that_refuses_the_caller_is_reported_in_one_error(monkeypatch, tmp_path) -> None:
    with (
        bedrock_service(monkeypatch, lambda *_: error("AccessDeniedException")),
        pytest.raises(InputError, match="bedrock:InvokeModel"),
    ):
        score(bedrock(), tmp_path)
