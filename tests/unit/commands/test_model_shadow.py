"""A candidate is scored on what the champion answered, and the approver sees the outcome."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.serving.tiny_artifact import WORDS
from tests.unit.commands.shadow_desk import (
    GROUP,
    STRICTER,
    Desk,
    complaints,
    database,
    desk,
    refused,
)

__all__ = ["database", "desk"]  # fixtures


def test_the_approver_sees_how_a_candidate_decides(desk: Desk) -> None:
    requests = complaints(300)
    desk.answer(requests)
    assert desk.register(words=STRICTER) == 2
    done = desk.shadow(2)
    assert done.exit_code == 0, done.exception
    record = json.loads(desk.file(2).read_text())
    compared = record["comparison"]
    rows = sum(map(len, requests))
    assert (compared["rows"], compared["requests"], compared["refused"]) == (rows, 300, 0)
    score = {
        name: np.array([_sum(text, words) for texts in requests for text in texts])
        for name, words in (("before", WORDS), ("after", STRICTER))
    }
    gained = int(np.sum((score["after"] >= 0) & (score["before"] < 0)))
    assert compared["decisions"][1:3] == [gained, 0]
    assert compared["positive_rate"]["estimate"]["value"] == pytest.approx(gained / rows)
    first, *_ = done.stdout.splitlines()
    assert first.startswith(f"more positive decisions (+{gained / rows:.3f} [+")
    assert (
        f": {gained:,} decisions became positive, 0 negative; version 2 beside version 1" in first
    )
    assert first.endswith("2026-03-02 to 2026-03-09")
    assert desk.file(2, ".html").read_text().count("<svg") == 1

    approved = desk.approve(2)
    assert approved.exit_code == 0
    assert f"shadow: {first}\n" in approved.stderr
    assert "shadow: accuracy on 0 audited rows: not judged (0 of 0 drawn rows" in approved.stderr
    assert "the champion is another one" not in approved.stderr


def _sum(text: str, words: dict[str, float]) -> float:
    return sum(words.get(word, 0.0) for word in ["card", *text.split()])


def test_a_version_beside_its_own_answers_has_the_same_scores(desk: Desk) -> None:
    desk.answer(complaints(300))
    done = desk.shadow(1, "--json")
    compared = json.loads(done.stdout)["comparison"]
    assert compared["positive_rate"]["outcome"] == "same decisions"
    assert {item["value"] for item in compared["score_differences"]} == {0.0}


def test_equal_captures_give_equal_bytes_and_nothing_of_a_row(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    requests = complaints(250)
    desk.answer(requests)
    desk.register(words=STRICTER)
    written = []
    for _ in range(2):
        done = desk.shadow(2)
        written.append([desk.file(2, suffix).read_bytes() for suffix in (".json", ".html")])
    assert written[0] == written[1]
    shown = done.stdout + done.stderr + "".join(content.decode() for content in written[0])
    assert "qx-" not in shown
    assert not [text for texts in requests for text in texts if text in shown]
    assert not list(scratch.iterdir())  # the decoded requests are gone


def test_a_request_with_a_row_that_the_candidate_refuses_counts_whole(desk: Desk) -> None:
    desk.answer([*complaints(300), ["bad bad bad bad bad bad bad", "good"]])
    desk.answer([["fine"]])
    desk.register(approved=True, truncate=True)
    desk.answer([["bad " * 20, "good"], *complaints(300)], version=2)
    desk.register(words=STRICTER)
    done = desk.shadow(3)
    assert "version 3 refuses requests with 2 rows" in done.stdout
    assert json.loads(desk.file(3).read_text())["comparison"]["requests"] == 300


def test_few_requests_are_not_judged(desk: Desk) -> None:
    desk.answer(complaints(20))
    desk.register(words=STRICTER)
    done = desk.shadow(2)
    assert done.exit_code == 0
    assert done.stdout.startswith("not judged (")
    assert "rows in 20 requests, 200 rows in 30 requests are needed)" in done.stdout
    assert "Too few rows." in desk.file(2, ".html").read_text()
    assert "shadow: not judged (" in desk.approve(2).stderr


def test_a_version_without_a_comparison_says_so_and_how_to_make_one(desk: Desk) -> None:
    desk.register(words=STRICTER)
    approved = desk.approve(2)
    assert "shadow: none, no captured request was scored with this version" in approved.stderr
    assert "sashiko model shadow 2 --recipe complaints\n" in approved.stderr
    assert "shadow" not in desk.sashiko("model", "reject", "2", "--reason", "why").stderr


def test_a_comparison_with_an_earlier_champion_says_so(desk: Desk) -> None:
    desk.answer(complaints(300))
    desk.register(words=STRICTER)
    desk.register(approved=True, words={**WORDS, "fine": 1.0})
    assert "answered no request in the window (versions that did: 1)" in refused(desk.shadow(2))
    desk.registry.decide(GROUP, 3, status="Rejected", by="a", reason="b")
    assert desk.shadow(2).exit_code == 0
    desk.registry.decide(GROUP, 3, status="Approved", by="a", reason="b")
    assert "shadow: the champion is another one since\n" in desk.approve(2).stderr


def test_a_comparison_of_another_artifact_or_a_damaged_one_is_not_shown(desk: Desk) -> None:
    desk.register(words=STRICTER)
    desk.answer(complaints(250))
    desk.shadow(2)
    record = json.loads(desk.file(2).read_text())
    desk.file(2).write_text(json.dumps(record | {"artifact_sha256": "0" * 64}))
    assert "is of another artifact: sashiko model shadow 2" in desk.approve(2).stderr
    desk.file(2).write_text("{")
    damaged = desk.approve(2)
    assert damaged.exit_code == 0
    assert "shadow.json cannot be read: " in damaged.stderr


@pytest.mark.parametrize(
    ("tags", "note"),
    [
        ({"test_from": "2026-03-02"}, ""),
        ({"test_from": "2026-03-03"}, "its test split begins on 2026-03-03"),
        ({}, "it is not split by time"),
    ],
)
def test_a_candidate_that_may_have_learned_from_the_rows_is_named(
    desk: Desk, tags: dict[str, str], note: str
) -> None:
    desk.answer(complaints(250))
    desk.register(words=STRICTER, tags=tags)
    lines = desk.shadow(2).stdout.splitlines()
    notes = [line for line in lines if line.startswith("version 2 may have learned from rows")]
    assert notes == [f"version 2 may have learned from rows of the window: {note}"] * bool(note)
