"""The benchmark beside evidently and NannyML: what all are given, what ours says, and its page."""

import re
from functools import cache
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from verification.benchmarks.monitoring_peers import (
    PAGE,
    SETTINGS,
    WEEKS,
    Answers,
    Effort,
    ask_peer,
    draw_pair,
    draw_stream,
    judge_stream,
    judge_window,
    tables,
)
from verification.benchmarks.monitoring_pools import Pools
from verification.benchmarks.monitoring_verdicts import (
    STREAMS,
    WINDOWS,
    Setup,
    StreamVerdict,
    Verdict,
    cases,
    read_answers,
    write_answers,
)


@cache
def _pools() -> Pools:
    return Pools(rows=9600, seed=0)


def _place(name: str, rows: int) -> int:
    return next(i for i, item in enumerate(SETTINGS) if (item.name, item.rows) == (name, rows))


def test_a_quiet_window_is_quiet_and_a_moved_product_mix_raises_an_alarm() -> None:
    for name, alarm in (("quiet", False), ("product mix moved by .25", True)):
        pair = draw_pair(_pools(), _place(name, 500), 0, has_texts=False, seed=0)
        assert [one.alarm for one in judge_window(_pools(), pair)] == [alarm], name


def test_the_accuracy_without_labels_is_shown_for_a_quiet_window_and_withdrawn_after_a_shift() -> (
    None
):
    for name, is_shown in (("quiet", True), ("product mix moved by .25", False)):
        pair = draw_pair(_pools(), _place(name, 500), 0, has_texts=True, seed=0)
        *_, verdict = judge_window(_pools(), pair)
        assert verdict.setup is Setup.OURS_TEXTS
        assert (verdict.estimate is not None) is is_shown, name


def test_the_audit_finds_reversed_labels_within_the_stream() -> None:
    week = judge_stream(draw_stream(_pools(), "drift", 0, seed=0)).week
    assert week is not None and week <= WEEKS


def test_a_window_is_the_same_whatever_else_is_drawn_and_has_no_row_of_its_reference() -> None:
    place = _place("quiet", 500)
    one, again = (draw_pair(_pools(), place, 3, has_texts=False, seed=0) for _ in range(2))
    assert one.window["text"].tolist() == again.window["text"].tolist()
    # Two rows may have the same text by chance; the same row has the same score too.
    reference, window = (
        rows[["text", "probability", "positive"]].tolist() for rows in (one.reference, one.window)
    )
    assert sum(row in set(reference) for row in window) <= 5


def test_peers_are_given_labels_of_the_reference_and_of_the_audited_rows_alone(
    tmp_path: Path,
) -> None:
    draw_pair(_pools(), _place("quiet", 200), 0, has_texts=True, seed=0).write(tmp_path)
    draw_stream(_pools(), "quiet", 0, seed=0).write(tmp_path)
    (window,) = cases(tmp_path, WINDOWS)
    (stream,) = cases(tmp_path, STREAMS)
    assert "label" not in pq.read_schema(window / "window.parquet").names
    assert {"label", "text"} <= set(pq.read_schema(window / "reference.parquet").names)
    assert pq.read_table(window / "larger.parquet").num_rows == 30 * 200
    weeks = pq.read_table(stream / "weeks.parquet").to_pandas()
    assert weeks.groupby("week").label.count().tolist() == [100] * WEEKS


def test_answers_are_read_as_they_were_written(tmp_path: Path) -> None:
    windows = [Verdict(3, Setup.NANNYML_CBPE, True, 0.25, 0.9)]
    streams = [StreamVerdict("drift", Setup.NANNYML_REALIZED, None)]
    write_answers(tmp_path / "answers.json", windows, streams)
    assert read_answers(tmp_path / "answers.json") == (windows, streams)


def test_a_peer_without_its_environment_ends_with_the_command_that_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=re.escape("run `make .venv-nannyml/.done` first")):
        ask_peer("nannyml", tmp_path)


def test_large_windows_are_judged_less_often() -> None:
    effort = Effort(windows=8, texts=4, streams=1)
    assert [effort.windows_of(SETTINGS[_place("quiet", rows)]) for rows in (500, 20_000)] == [8, 3]
    assert [effort.texts_of(SETTINGS[_place("quiet", rows)]) for rows in (500, 2000)] == [4, 2]
    assert effort.texts_of(SETTINGS[_place("product mix moved by .18", 500)]) == 0


def test_the_page_names_shares_with_their_intervals_and_where_ours_is_behind() -> None:
    quiet, moved = _place("quiet", 500), _place("product mix moved by .18", 500)
    answers = Answers(stream_accuracies={"quiet": [0.9], "drift": [0.8]})
    for place, alarms in ((quiet, {Setup.OURS: 0, Setup.NANNYML: 3}), (moved, {Setup.OURS: 2,
                          Setup.NANNYML: 4})):  # fmt: skip
        answers.accuracies[place] = [0.9] * 4
        for setup, count in alarms.items():
            seconds = 2.0 if setup is Setup.OURS else 0.5
            answers.windows += [Verdict(place, setup, i < count, seconds) for i in range(4)]
    answers.streams = [StreamVerdict("quiet", Setup.OURS_AUDIT, None),
                       StreamVerdict("drift", Setup.OURS_AUDIT, 6)]  # fmt: skip
    parts = tables(answers)
    row = "| quiet, 500 rows | 4 | 0.00 [0.00, 0.49] |  |  | 0.75 [0.30, 0.95] |  |"
    assert row in parts["defaults"]
    drift = parts["concept drift"]
    assert drift[0] == "The accuracy is 0.900 without the drift and 0.800 with it."
    assert f"| {Setup.OURS_AUDIT} | 1 | 0.00 [0.00, 0.79] | 1.00 [0.21, 1.00] | 6 |" in drift
    loss = "- product mix moved by .18, 500 rows: `NannyML, drift` 1.00, `ours` 0.50"
    assert parts["where ours is behind"] == [
        f"{loss}; in quiet windows of that size 0.75.",
        "- 500 rows: `NannyML, drift` takes 0.5 s, `ours` 2 s.",
    ]


@pytest.mark.parametrize("part", ["machine", *tables(Answers(stream_accuracies={
    "quiet": [1], "drift": [1]}))])  # fmt: skip
def test_each_part_has_its_marks_in_the_page(part: str) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert f"<!-- {part}: written by the command -->\n" in text
    assert f"<!-- end of {part} -->\n" in text
