import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sashiko.errors import InputError
from sashiko_packs.monitoring.account import Copy, MonitorFiles
from sashiko_packs.monitoring.draws import DRAW_SCHEMA
from tests.packs.monitoring.account.monitor_bench import NOW, Bench, open_bench
from tests.packs.monitoring.label_stores import week
from tests.packs.monitoring.report.windows import deploy_week, windows
from tests.unit.contract.documents import ROWS


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    with open_bench(tmp_path, monkeypatch) as bench:
        yield bench


def test_staging_makes_stores_and_keeps_what_they_hold(bench: Bench, tmp_path: Path) -> None:
    assert sorted(bench.stage()) == [
        "deletions.parquet", "facets.parquet", "labels.parquet", "none.json",
        "none.parquet",
    ]  # fmt: skip
    labels = tmp_path / "labels.csv"
    labels.write_text("loan_id,late\na,yes\n")
    bench.model.add_labels(labels, bench.contract, now=NOW)
    assert bench.stage() == []
    rows = bench.table(f"{bench.places.labels}/labels.parquet", tmp_path)
    assert [(row["key"], row["label"]) for row in rows] == [("a", "yes")]


def test_the_version_before_a_deploy_has_the_command_that_starts_its_window(bench: Bench) -> None:
    result = deploy_week(windows(1)[0], before=2)
    [command] = bench.model.start_commands(result, history=(result,))
    words = shlex.split(command)
    assert words[:3] == ["aws", "stepfunctions", "start-execution"]
    name = f"-monitor-{bench.model.recipe.name}"
    assert words[words.index("--state-machine-arn") + 1].endswith(name)
    given = {"time": "2026-01-12T06:00:00Z", "model_version": 2}
    assert json.loads(words[words.index("--input") + 1]) == given
    before = result.model_copy(update={"version": 2})
    assert bench.model.start_commands(result, history=(before, result)) == ()


def test_drawn_rows_are_kept_before_the_sheet_is_written(bench: Bench, tmp_path: Path) -> None:
    bench.stage()
    bench.answer("a", "b", "c")
    with bench.model.draw(7, window=week(0), rows=2) as draw:
        assert (draw.answers, draw.drawn) == (3, 2)
        rows = bench.table(f"{bench.places.draws}/{draw.path.name}", tmp_path)
        assert rows == pq.read_table(draw.path).to_pylist()
        assert pq.read_schema(draw.path) == DRAW_SCHEMA
    with bench.model.draw(7, window=week(0), rows=2) as again:
        assert pq.read_table(again.path).to_pylist() == rows


def test_of_two_who_draw_at_once_the_second_is_refused(bench: Bench) -> None:
    bench.stage()
    bench.answer("a", "b", "c")
    with bench.model.draw(7, window=week(0), rows=2) as draw:
        name = draw.path.name
    etags = MonitorFiles.etags

    def before(files: MonitorFiles, uri: str) -> dict[str, str]:
        """As if the other one's draw came after this listing."""
        return {file: etag for file, etag in etags(files, uri).items() if file != name}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MonitorFiles, "etags", before)
        with (
            pytest.raises(InputError, match="somebody else has just changed it"),
            bench.model.draw(7, window=week(0), rows=2),
        ):
            pass


def test_labels_that_another_person_adds_meanwhile_are_not_lost(bench, tmp_path) -> None:
    bench.stage()
    ours, others = tmp_path / "ours.csv", tmp_path / "others.csv"
    ours.write_text("loan_id,late\na,yes\n")
    others.write_text("loan_id,late\nb,no\n")
    put = MonitorFiles.put

    def after(files: MonitorFiles, path: Path, copy: Copy) -> str:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(MonitorFiles, "put", put)
            bench.model.add_labels(others, bench.contract, now=NOW)
        return put(files, path, copy)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MonitorFiles, "put", after)
        with pytest.raises(InputError, match="somebody else has just changed it"):
            bench.model.add_labels(ours, bench.contract, now=NOW)
    assert bench.model.add_labels(ours, bench.contract, now=NOW).added == 1
    rows = bench.table(f"{bench.places.labels}/labels.parquet", tmp_path)
    assert [row["key"] for row in rows] == ["a", "b"]


def test_a_file_with_facets_is_refused_and_nothing_of_it_kept(bench: Bench, tmp_path: Path) -> None:
    bench.stage()
    file = tmp_path / "labels.csv"
    columns = ["loan_id", "late", *(facet.column for facet in bench.contract.facets)]
    row = {name: values[0] for name, values in ROWS.items()}
    file.write_text(f"{','.join(columns)}\n{','.join(str(row[name]) for name in columns)}\n")
    with pytest.raises(InputError, match="the bias evaluator's jobs alone write them"):
        bench.model.add_labels(file, bench.contract, now=NOW)
    assert bench.table(f"{bench.places.labels}/labels.parquet", tmp_path) == []


def test_outcomes_come_by_the_ends_of_their_windows(bench: Bench) -> None:
    results = windows(3)
    for number, result in enumerate(reversed(results)):
        uri = f"{bench.places.windows}/3/{number}/x/monitor.json"
        bench.put(uri, json.dumps(result.model_dump(mode="json")).encode())
    assert bench.model.results() == tuple(results)


def test_stores_that_were_not_staged_name_the_command(bench: Bench) -> None:
    with (
        pytest.raises(InputError, match="does not exist yet: sashiko stage --env dev --recipe"),
        bench.model.draw(7, window=week(0), rows=2),
    ):
        pass


def test_an_outcome_of_another_form_is_left_out_and_named(bench, capsys) -> None:
    bench.put(f"{bench.places.windows}/3/a/b/monitor.json", b'{"group": "x"}')
    assert bench.model.results() == ()
    assert "left out 1 windows" in (printed := capsys.readouterr().err)
    assert "windows/3/a/b/monitor.json" in printed


def test_a_correction_is_kept_with_who_made_it(bench: Bench, tmp_path: Path) -> None:
    bench.stage()
    person = "arn:aws:sts::123456789012:assumed-role/data-scientist/ada"
    for label, by in (("yes", None), ("no", person)):
        file = tmp_path / "labels.csv"
        file.write_text(f"loan_id,late\na,{label}\n")
        added = bench.model.add_labels(file, bench.contract, now=NOW, corrected_by=by)
    assert (added.corrected, added.added) == (1, 0)
    rows = bench.table(f"{bench.places.labels}/labels.parquet", tmp_path)
    assert [(row["label"], row["replaces"], row["person"]) for row in rows] == [
        ("yes", None, None),
        ("no", "yes", person),
    ]
