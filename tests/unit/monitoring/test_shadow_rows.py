"""Which rows a comparison is made of: whole requests of one version, and those of the audit."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest

from sashiko.monitoring.capture.reading import read_captures
from sashiko.monitoring.column_counts import ColumnCounts
from sashiko.monitoring.shadow_rows import ScoredRows, find_audited, score_requests
from sashiko.serving.artifact import JSON, Artifact, open_artifact
from tests.e2e.serving.tiny_artifact import build_artifact
from tests.unit.monitoring.captures import DAY, NOON, answer, record, request, write
from tests.unit.monitoring.label_stores import Stores, keys_of, week
from tests.unit.steps.monitor.monitor_job import make_reference

COLUMNS = ("tone", "note")
REFERENCE = make_reference(
    template="{tone} {note}",
    columns=tuple(
        ColumnCounts(column=name, kind=kind, counts=(0, 0, 0))
        for name, kind in (("tone", "text"), ("note", "number"))
    ),
)
LONG = "bad " * 9  # more tokens than the artifact takes


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    archive = build_artifact(
        tmp_path_factory.mktemp("built"), words={"bad": 2.0, "40": -3.0, "unknown": 0.5}
    )
    with open_artifact(archive, threshold=0.5) as opened:
        yield opened


def score(folder: Path, artifact: Artifact) -> ScoredRows:
    out = folder / "rows.parquet"
    read_captures(folder, out, window=DAY, now=NOON + dt.timedelta(days=1), columns=COLUMNS)
    return score_requests(out, artifact, REFERENCE, version=7)


def captured(name: str, inputs, scores=None):
    ids = [f"{name}{place}" for place in range(len(inputs))]
    return record(name, request(inputs, ids), answer(scores or [0.75] * len(inputs), ids))


@pytest.mark.parametrize(
    "inputs",
    [
        [{"tone": "bad", "note": 40.0}, {"tone": None, "note": None}, {"tone": "x", "note": 1.5}],
        ["bad x", "40", "x"],
    ],
    ids=["rows", "texts"],
)
def test_rows_and_texts_are_read_as_the_handler_reads_them(tmp_path, artifact, inputs) -> None:
    write(tmp_path, [captured("a", inputs, [0.1, 0.2, 0.3])])
    rows = score(tmp_path, artifact)
    body = json.dumps({"inputs": inputs}).encode()
    answers = json.loads(artifact.respond(body, content_type=JSON, accept=JSON))
    assert rows.candidate.tolist() == [item["score"] for item in answers]
    assert len(set(rows.candidate.tolist())) == 3
    assert (rows.champion.tolist(), rows.keys) == ([0.1, 0.2, 0.3], ("a0", "a1", "a2"))
    assert len(set(rows.requests.tolist())) == 1


def test_other_versions_rows_are_left_out(tmp_path, artifact) -> None:
    write(tmp_path, [captured("a", ["bad"]), captured("b", ["bad x", "x"])])
    write(tmp_path, [captured("c", ["x"])], version=8)
    write(tmp_path, [captured("d", ["x"])], version=None)
    rows = score(tmp_path, artifact)
    assert sorted(rows.keys) == ["a0", "b0", "b1"]
    assert len(set(rows.requests.tolist())) == 2


def test_a_request_with_a_row_that_is_refused_has_no_answer(tmp_path, artifact) -> None:
    write(tmp_path, [captured("a", ["x", LONG]), captured("b", ["bad"])])
    rows = score(tmp_path, artifact)
    assert (rows.keys, rows.refused) == (("b0",), 2)
    assert len(rows.candidate) == len(rows.champion) == len(rows.requests) == 1


@pytest.fixture
def stores(tmp_path):
    stores = Stores(tmp_path)
    stores.answer([f"k{number}" for number in range(40)])
    stores.answer([f"m{number}" for number in range(10)], number=1)
    return stores


def find(stores: Stores, keys, *, now, version: int = 7):
    return find_audited(
        keys,
        labels=stores.folder("labels"),
        draws=stores.folder("draws"),
        version=version,
        now=now,
        positive="yes",
    )


def test_drawn_rows_have_their_label_and_the_probability_of_their_period(stores) -> None:
    first, second = (keys_of(stores.draw(number)) for number in (0, 1))
    ordinary = next(key for key in (f"k{number}" for number in range(40)) if key not in first)
    stores.label([*first[:6], ordinary], "yes", now=week(2).start)
    stores.label(second, "no", now=week(2).start)
    keys = [None, ordinary, *second, *first[:8]]
    audited = find(stores, keys, now=week(2).end)
    assert audited.places.tolist() == [*range(2, 12), *range(12, 18)]
    assert audited.labels.tolist() == [0] * 10 + [1] * 6
    assert audited.probabilities.tolist() == [1.0] * 10 + [0.25] * 6
    assert audited.drawn == 18  # two of them without a label; other rows of the draw are not here


def test_labels_count_once_they_are_known_and_for_the_version_that_answered(stores) -> None:
    drawn = keys_of(stores.draw(0))
    stores.label(drawn, "yes", now=week(2).start)
    stores.label(drawn, "no", now=week(3).start)
    assert len(find(stores, drawn, now=week(2).start - dt.timedelta(seconds=1)).places) == 0
    assert find(stores, drawn, now=week(4).start).labels.tolist() == [1] * 10  # the first counts
    other = find(stores, drawn, now=week(4).start, version=8)
    assert (len(other.places), other.drawn) == (0, 0)


def test_without_rows_nothing_is_audited(stores) -> None:
    audited = find(stores, [], now=week(2).start)
    assert (audited.places.dtype, audited.drawn) == (np.int64, 0)
