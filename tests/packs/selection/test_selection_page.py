import datetime as dt
import json
from html.parser import HTMLParser

import pytest

from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.pipeline.local_run import _evidence
from sashiko.pipeline.project import chosen_record
from sashiko.report.html import REPORT_FILE, write_page
from sashiko.steps.sections import Channel
from sashiko_packs.selection.file import Travel
from sashiko_packs.selection.record import Latency, SelectionRecord, choose, write_selection
from sashiko_packs.selection.report.page import (
    headline,
    next_commands,
    selection_view,
    terminal_rows,
)
from sashiko_packs.selection.run import judge
from tests.packs.selection.selections import answers, judged_rows, scored, with_bedrock, wrong_on

ROWS = judged_rows()


@pytest.fixture(scope="module")
def record() -> SelectionRecord:
    """A chosen encoder, one at no known cost, a dropped one, an undecided, and one by hand."""
    file = with_bedrock()
    latency = Latency(p50=0.002, p99=0.009, mean=0.003, requests=200, how="one at a time")
    usa = Travel(geography="us", where="from us-east-1 to Regions of the United States")
    candidates = [
        scored("encoder", wrong_on(ROWS, 0.11), usd=5.0, latency=latency, run="run-1"),
        scored("unpriced", wrong_on(ROWS, 0.105), usd=None),
        scored("perhaps", wrong_on(ROWS, 0.12, seed=1), usd=1.0),
        scored("<b>dropped</b>", wrong_on(ROWS, 0.60), usd=0.1),
        scored("by-hand", wrong_on(ROWS, 0.0), kind="bedrock", travel=usa,
               answers=answers(hand_made=True)),
    ]  # fmt: skip
    judged = [judge(item, ROWS, file, licences=("Apache-2.0",)) for item in candidates]
    models: dict[str, ModelScores] = {item.record.name: item.model for item in candidates}
    choice = choose(judged, models, ROWS.test.labels, selection=file, section=ROWS.recipe.evaluate)
    return SelectionRecord(
        id="20260102-030405-0001", selection=file, day=dt.date(2026, 1, 2),
        rows=len(ROWS.test.keys), positives=int(ROWS.test.labels.sum()), bootstrap_replicates=100,
        inputs=ROWS.inputs, command="sashiko select choice.yaml", **dict(choice),
    )  # fmt: skip


class _Text(HTMLParser):
    """The page's text, without its style."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def test_the_page_shows_the_choice_every_figure_and_what_is_not_known(record, tmp_path) -> None:
    html = write_page(selection_view(record), tmp_path / REPORT_FILE).read_text()
    reader = _Text()
    reader.feed(html)
    text = " ".join(" ".join(reader.parts).split())
    assert "encoder is chosen among what was judged" in text
    assert "written by hand" in text
    assert "perhaps: undecided, needs about" in text
    assert "<b>dropped</b>" in text
    assert "<b>dropped" not in html
    assert html.count("<svg") == 1
    assert "2 ms" in text
    assert "Disparate impact (DI): age=old" in text


def test_a_chosen_linear_model_comes_with_the_command_that_trains_it(record) -> None:
    assert next_commands(record) == ()
    chosen = record.model_copy(update={"chosen": "linear"})
    command = "sashiko run --recipe loans --set model.family=linear"
    assert next_commands(chosen) == (command,)
    assert selection_view(chosen).outcome.commands == (command,)


def test_no_figure_of_answers_by_hand_is_shown(record: SelectionRecord) -> None:
    heading, *rows = terminal_rows(record)
    by_hand = dict(zip(heading, next(row for row in rows if row[0] == "by-hand"), strict=True))
    words = {"candidate", "texts are processed", "licence", "outcome"}
    figures = {key: value for key, value in by_hand.items() if key not in words}
    assert set(figures.values()) <= {"not measured", "-"}
    assert "encoder is chosen" in headline(record)


def test_what_was_not_judged_is_named_and_the_choice_is_not_green(record, tmp_path) -> None:
    text = headline(record)
    for part in ("the cost of unpriced", "perhaps: undecided", "by-hand: its answers"):
        assert part in text.partition("Not judged: ")[2]
    html = write_page(selection_view(record), tmp_path / REPORT_FILE).read_text()
    assert '<div class="outcome waiting">' in html
    assert "✓ A CANDIDATE IS CHOSEN" not in html
    judged = record.model_copy(update={"unjudged": ()})
    assert "Not judged" not in headline(judged)
    assert "among what was judged" not in headline(judged)
    html = write_page(selection_view(judged), tmp_path / REPORT_FILE).read_text()
    assert '<div class="outcome registered">' in html


def test_the_record_goes_into_the_evidence_of_the_chosen_recipe(record, tmp_path) -> None:
    recipe = ROWS.recipe
    folder = write_selection(record, tmp_path, chosen=recipe)
    written = (folder / "selection.json").read_bytes()
    assert json.loads(written)["chosen"] == "encoder"
    assert (tmp_path / "runs/run-1/evidence/selection.json").read_bytes() == written
    contract = tmp_path / "contract.yaml"
    contract.write_text("")

    def evidence(of: object) -> dict[str, bytes]:
        return _evidence(
            of, contract_path=contract, manifest=Channel(uri="", files={}), home=tmp_path
        )

    assert evidence(recipe)["selection.json"] == written
    other = recipe.model_copy(update={"description": "another"})
    assert "selection.json" not in evidence(other)


def test_without_a_chosen_recipe_no_run_gets_the_record(record, tmp_path) -> None:
    write_selection(record, tmp_path, chosen=None)
    assert not (tmp_path / "runs").exists()
    assert not chosen_record(ROWS.recipe, home=tmp_path).exists()
