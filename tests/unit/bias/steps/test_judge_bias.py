"""JudgeBias: its verdict on a model, and the interval of each metric."""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from sashiko.base.files import read_json, sha256_file, sha256_tree
from sashiko.bias.gates.estimates import read_estimates
from sashiko.bias.gates.label_change import (
    ChampionLabels,
    label_meaning,
    write_champion_labels,
)
from sashiko.bias.metrics.bias_table import stage_metrics
from sashiko.bias.steps import judge_bias
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Verdict, read_verdict
from tests.unit.bias.steps.bias_folders import (
    FAIR_BY_FACET,
    JOINED,
    OUTCOMES,
    SCORED,
    Cells,
    Job,
    analysis_of,
    facet_rows,
)
from tests.unit.contract.documents import column_of, document, grouped, two_facets

FOUR_FIFTHS = {"metric": "DI", "facet": "age", "minimum": 0.8, "maximum": 1.25, "reason": "4 / 5"}
# Of the labels: 300 rows of old, of them 60 late, and 500 of young, of them 150 late.
FACETS = facet_rows(
    [f"L{number}" for number in range(800)],
    ["old"] * 300 + ["young"] * 500,
    ["yes"] * 60 + ["no"] * 240 + ["yes"] * 150 + ["no"] * 350,
)


def rows(*, old: tuple[int, int], young: tuple[int, int], count: int = 200) -> str:
    """CSV rows; per group how many of `count` are right positives, and how many wrong ones."""
    lines = ["label,predicted_label,age"]
    for age, (right, wrong) in (("old", old), ("young", young)):
        lines += [f"1,1,{age}"] * right + [f"0,1,{age}"] * wrong
        lines += [f"1,0,{age}"] * 10 + [f"0,0,{age}"] * (count - right - wrong - 10)
    return "\n".join(lines) + "\n"


FAIR = rows(old=(80, 10), young=(85, 10))
UNFAIR = rows(old=(30, 10), young=(90, 10))


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    return Job(tmp_path / "judge", monkeypatch)


@pytest.fixture
def analyse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str | pa.Table], Any]:
    """Runs PostBias on a CSV, or PreBias on a table, and returns its analysis.json."""
    return partial(analysis_of, tmp_path, monkeypatch)


@pytest.fixture
def judge(job: Job, analyse):
    """Judges a CSV by its own analysis and that of FACETS, or by others."""

    def run(
        csv: str,
        post: Any = None,
        *,
        labels: pa.Table = FACETS,
        pre: Any = None,
        gates: Any = (FOUR_FIFTHS,),
        contract: dict[str, Any] | None = None,
        facets: Sequence[str] = ("age",),
        **section: Any,
    ) -> Verdict:
        pre, post = pre or analyse(labels, contract), post or analyse(csv, contract)
        analyses = {"pre-analysis": pre, "post-analysis": post}
        job.contract(contract)
        job.section("bias", {"gates": gates, **section})
        job.section("reweighing", {"facets": list(facets), "strength": len(facets)})
        job.section("evaluate", {})
        for name, value in analyses.items():
            job.text(name, json.dumps(value), file="analysis.json")
        job.parquet("facets", labels)
        job.text("data", csv)
        job.run(judge_bias)
        return read_verdict(job.output("verdict"))

    return run


def test_a_fair_model_passes_with_its_number_and_interval(job: Job, judge) -> None:
    verdict = judge(FAIR)
    (check,) = verdict.checks
    assert (verdict.gate, verdict.passed) == ("bias", True)
    assert check.name == "DI age=old"
    assert check.value == pytest.approx(90 / 95)
    assert check.low < check.value < check.high
    assert check.high - check.low < 0.5
    assert verdict.inputs["data"] == sha256_tree(job.folder("data"))
    assert set(verdict.inputs) == {
        *("pre-analysis", "post-analysis", "facets", "data"),
        *("facets-snapshot", "joined-facets-snapshot", "predictions"),
    }
    counted = sha256_file(job.folder("facets") / "data.parquet")
    assert verdict.inputs["facets-snapshot"] == counted
    assert verdict.inputs["joined-facets-snapshot"] == JOINED
    assert verdict.inputs["predictions"] == SCORED


def test_an_unfair_model_is_blocked_with_number_interval_and_what_to_try(judge) -> None:
    verdict = judge(UNFAIR)
    assert not verdict.passed
    for part in ("DI age=old = 0.4 [0.", "required 0.8 to 1.25", "Try: ", "reweighing.strength"):
        assert part in verdict.summary


def test_every_metric_of_both_analyses_is_in_the_intervals(job: Job, judge) -> None:
    judge(FAIR)
    rows_by_metric = {
        (row["stage"], row["metric"]): row for row in job.json("intervals/intervals.json")
    }
    assert set(rows_by_metric) == {
        (stage, name)
        for stage in ("pre_training", "post_training")
        for name in stage_metrics(stage)
    }
    folder = job.root / "processing" / "output" / "intervals"
    for name in ("pre", "post"):
        stored = (folder / f"{name}-training-analysis.json").read_bytes()
        assert stored == (job.folder(f"{name}-analysis") / "analysis.json").read_bytes()
    of_predictions = rows_by_metric["post_training", "RD"]
    of_labels = rows_by_metric["pre_training", "DPL"]
    assert (of_predictions["n_disadvantaged"], of_predictions["n_advantaged"]) == (200, 200)
    assert (of_labels["n_disadvantaged"], of_labels["n_advantaged"]) == (300, 500)
    assert of_labels["value"] == pytest.approx(150 / 500 - 60 / 300)
    for row in rows_by_metric.values():
        if row["metric"] in ("CDDL", "CDDPL"):
            assert "no group variable" in row["error"]
        else:
            assert row["low"] < row["high"]


def test_a_gate_on_no_facet_of_the_contract_is_refused(judge) -> None:
    gate = FOUR_FIFTHS | {"facet": "shoe_size"}
    with pytest.raises(InputError, match=r"bias\.gates\.1\.facet: `shoe_size` .* age"):
        judge(FAIR, gates=[FOUR_FIFTHS, gate])


def test_a_group_variable_gives_the_conditional_disparities(job: Job, judge) -> None:
    # the strata of STRATA in the metrics' tests: 100 rows of north, 50 of south
    rows = [
        (label, predicted, age, branch)
        for branch, counts in (
            ("north", (25, 5, 5, 25, 24, 6, 4, 6)),
            ("south", (8, 2, 6, 4, 15, 5, 5, 5)),
        )
        for (age, label, predicted), count in zip(
            product(("young", "old"), (0, 1), (0, 1)), counts, strict=True
        )
        for _ in range(count)
    ]
    csv = "label,predicted_label,age,group_variable\n"
    csv += "".join(f"{','.join(map(str, row))}\n" for row in rows)
    labels, _, ages, branches = (list(column) for column in zip(*rows, strict=True))
    late = ["yes" if label else "no" for label in labels]
    facets = facet_rows([f"L{index}" for index in range(150)], ages, late)
    facets = facets.append_column("branch", [branches])

    judge(csv, labels=facets, contract=grouped(), minimum_group_size=70)
    rows_by_metric = {row["metric"]: row for row in job.json("intervals/intervals.json")}
    assert rows_by_metric["CDDL"]["value"] == pytest.approx((100 * 0.25 + 50 / 6) / 150)
    for name in ("CDDL", "CDDPL"):
        row = rows_by_metric[name]
        assert row["low"] < row["value"] < row["high"]


def test_clarifys_own_output_is_judged_alike(job: Job, analyse, judge) -> None:
    # Clarify writes an error beside a null, infinities as words, and keys and metrics of its own
    nobody = rows(old=(30, 0), young=(0, 0))
    ours = analyse(nobody)
    theirs = copy.deepcopy(ours)
    stage = theirs["post_training_bias_metrics"]
    metrics = stage["facets"]["age"][0]["metrics"]
    next(item for item in metrics if item["name"] == "DI").update(value="Infinity", error=None)
    metrics.append({"name": "FT", "description": "Flip Test (FT)", "value": -0.5})
    stage["label_headers"] = ["late"]
    theirs["explanations"] = {}
    verdict = judge(nobody, theirs)
    assert verdict.checks == judge(nobody, ours).checks
    assert "no row of the advantaged group is predicted positive" in verdict.checks[0].reason
    judge(nobody, theirs)
    (extra,) = [row for row in job.json("intervals/intervals.json") if row["metric"] == "FT"]
    assert (extra["value"], extra["low"]) == (-0.5, None)


def test_an_analysis_of_other_data_or_of_another_group_is_refused(job: Job, analyse, judge) -> None:
    other = facet_rows(["a", "b", "c", "d"], ["old", "old", "young", "young"], ["yes", "no"] * 2)
    with pytest.raises(InputError, match=r"PreBias's .* says .* age=old is .* but the data give"):
        judge(FAIR, pre=analyse(other))
    with pytest.raises(InputError, match=r"PostBias's .* says .* age=old is .* but the data give"):
        judge(UNFAIR, analyse(FAIR))
    assert not job.output("verdict").exists() or not list(job.output("verdict").iterdir())

    post = analyse(FAIR)
    post["post_training_bias_metrics"]["facets"]["age"][0]["value_or_threshold"] = "young"
    with pytest.raises(InputError, match="age=young, which the contract does not list"):
        judge(FAIR, post)

    with pytest.raises(InputError, match=r"PreBias.*pre_training_bias_metrics"):
        judge(FAIR, pre=analyse(FAIR))
    with pytest.raises(InputError, match=r"PostBias.*post_training_bias_metrics"):
        judge(FAIR, analyse(FACETS))


def test_a_label_that_a_group_lacks_counts_although_clarify_leaves_it_out(job, analyse, judge):
    # of old nobody is late, of young half is; Clarify compares what both groups have, the noes
    labels = facet_rows(list("abcd"), ["old", "old", "young", "young"], ["no", "no", "no", "yes"])
    theirs = analyse(labels)
    for metric in theirs["pre_training_bias_metrics"]["facets"]["age"][0]["metrics"]:
        metric["value"] = {"JS": 0.1, "KL": -0.35, "LP": 0.5, "TVD": 0.25, "KS": 0.5}.get(
            metric["name"], metric["value"]
        )
    judge(FAIR, labels=labels, pre=theirs)
    rows_by_metric = {row["metric"]: row for row in job.json("intervals/intervals.json")}
    assert rows_by_metric["LP"]["value"] == pytest.approx(0.5**0.5)
    assert rows_by_metric["TVD"]["value"] == pytest.approx(0.5)
    assert rows_by_metric["KL"]["value"] is None
    assert "KL is infinite" in rows_by_metric["KL"]["error"]


# Poisoned labels: a group's labels are flipped in the snapshot, and the model is reweighed, so that
# its predictions stay fair.
CHANGE = {
    "metric": "DPL", "facet": "age", "minimum": -0.05, "maximum": 0.05, "change_since": "champion",
    "reason": "labels are read before they are learned",
}  # fmt: skip
# 36 of the 60 late loans of old are called not late: DPL from 0.1 to 150 / 500 - 24 / 300 = 0.22.
POISONED = facet_rows(
    FACETS["loan_id"].to_pylist(),
    FACETS["age"].to_pylist(),
    ["no"] * 36 + FACETS["late"].to_pylist()[36:],
)
MEANING = label_meaning(contract="library-loans", version="2.1.0", label="late", positive="yes")


@pytest.fixture
def champion(job: Job, judge):
    """Stages the metrics that JudgeBias computes of a champion's labels, or why there are none."""

    def stage(
        labels: pa.Table = FACETS, *, meaning: Mapping[str, str] = MEANING, reason: str = ""
    ) -> None:
        judge(FAIR, labels=labels)
        estimates = read_estimates(job.output("intervals") / "intervals.json")
        record = ChampionLabels(
            version=3,
            meaning=dict(meaning),
            estimates=tuple(item for item in estimates if item.stage == "pre_training"),
        )
        write_champion_labels(reason or record, job.folder("labels-of-champion"))

    return stage


def test_poisoned_labels_pass_a_reweighed_model_unless_a_gate_compares_labels(judge, champion):
    champion()
    assert judge(FAIR, labels=POISONED).passed
    verdict = judge(FAIR, labels=POISONED, gates=[FOUR_FIFTHS, CHANGE])
    _, check = verdict.checks
    assert (verdict.passed, check.name) == (False, "DPL change since champion age=old")
    assert check.value == pytest.approx(0.12)
    # Of the two values' own intervals, each at most 0.07 to a side, by the bootstrap.
    assert 0.02 < check.low < 0.05 < check.value < check.high < 0.22
    for part in (
        "DPL change since champion age=old = 0.12 [0.0", "required -0.05 to 0.05", "0.220 [0.1",
        "0.100 [0.0", "in those of version 3", "labels are read before they are learned",
        "Try: read labels of age=old that were added or changed since version 3",
        "reweighing changes no label",
    ):  # fmt: skip
        assert part in verdict.summary, part
    assert "labels-of-champion" in verdict.inputs


def test_labels_poisoned_the_other_way_and_a_level_are_judged_too(judge, champion) -> None:
    champion(POISONED)
    (same,) = judge(FAIR, labels=POISONED, gates=[CHANGE]).checks
    assert (same.passed, same.judged, same.value) == (True, True, 0.0)
    level = {"metric": "DPL", "facet": "age", "maximum": 0.2, "reason": "-"}
    down, high = judge(FAIR, gates=[CHANGE, level]).checks
    assert (down.passed, down.value) == (False, pytest.approx(-0.12))
    assert (high.passed, high.value, high.name) == (True, pytest.approx(0.1), "DPL age=old")
    _, high = judge(FAIR, labels=POISONED, gates=[CHANGE, level]).checks
    assert (high.passed, high.value) == (False, pytest.approx(0.22))


def test_a_change_judged_by_its_bound_holds_at_once_with_the_other_bounds(judge, champion):
    champion()
    by_bound = CHANGE | {"judged_by": "bound", "minimum": -0.09, "maximum": 0.09}
    (alone,) = judge(FAIR, gates=[by_bound]).checks
    assert (alone.passed, "whole interval" in alone.reason) == (True, True)
    level = {"metric": "DPL", "facet": "age", "maximum": 0.2, "judged_by": "bound", "reason": "-"}
    both, _ = judge(FAIR, gates=[by_bound, level]).checks
    assert "2 looks at once" in both.reason
    assert (both.high > alone.high, both.passed) == (True, False)
    assert "its interval is too wide" in both.try_


@pytest.mark.parametrize(
    ("champions", "expected"),
    [
        ({"reason": "no champion yet"}, "no champion yet"),
        ({"meaning": MEANING | {"its major version": "1"}}, "major version is 2 here and 1 there"),
        ({"labels": FACETS[220:]}, "with version 3: too few to judge: 80 rows of age=old"),
        ({"labels": FACETS[:300]}, "with version 3: too few to judge: 0 rows of all others"),
    ],
)
def test_a_champion_that_does_not_compare_is_said_and_not_judged(
    judge, champion, champions, expected
) -> None:
    champion(**champions)
    verdict = judge(FAIR, labels=POISONED, gates=[FOUR_FIFTHS, CHANGE])
    _, check = verdict.checks
    assert (check.passed, check.judged, check.value) == (True, False, None)
    assert expected in check.reason
    assert f"not judged: {check.name}" in verdict.summary


def test_labels_of_too_few_rows_fail_and_other_groups_do_not_compare(
    judge, champion, job: Job
) -> None:
    champion()
    (check,) = judge(FAIR, labels=FACETS[220:], gates=[CHANGE]).checks[:1]
    assert (check.passed, "80 rows of age=old" in check.reason) == (False, True)

    path = job.folder("labels-of-champion") / "labels-of-champion.json"
    path.write_text(path.read_text().replace('"old"', '"ancient"'))
    (check,) = judge(FAIR, labels=POISONED, gates=[CHANGE]).checks
    assert (check.judged, "has no DPL of the group age=old" in check.reason) == (False, True)


def _more(csv: str, group: str, count: int) -> str:
    return csv + "".join(f"{index % 2},{index % 2},{group}\n" for index in range(count))


def _with(group: str, count: int) -> pa.Table:
    more = facet_rows([f"M{index}" for index in range(count)], [group] * count, ["no"] * count)
    return pa.concat_tables([FACETS, more])


def test_a_group_of_few_rows_in_the_test_split_is_named_as_not_judged(judge) -> None:
    verdict = judge(_more(FAIR, "unborn", 99), labels=_with("unborn", 120))
    gated, group = verdict.checks
    assert (gated.name, verdict.passed) == ("DI age=old", True)
    assert (group.name, group.passed, group.judged) == ("age=unborn", True, False)
    assert group.reason == (
        "99 rows in the test split, 120 in all the data; at least 100 are needed to judge it"
    )
    assert "not judged: age=unborn" in verdict.summary
    enough = judge(_more(FAIR, "unborn", 100), labels=_with("unborn", 120))
    assert [check.name for check in enough.checks] == ["DI age=old"]


def test_a_group_that_the_contract_allows_and_no_row_has_is_named(judge) -> None:
    value = document()
    column_of(value, "age")["enum"].append({"value": "unborn"})
    [group] = [check for check in judge(FAIR, contract=value).checks if not check.judged]
    assert group.name == "age=unborn"
    assert group.reason.startswith("0 rows in the test split, 0 in all the data")


def test_of_many_small_groups_some_are_named_and_the_rest_counted(judge) -> None:
    labels = pa.concat_tables([FACETS, *(_with(f"g{index:02}", 1)[-1:] for index in range(13))])
    keys = [f"L{index}" for index in range(labels.num_rows)]
    labels = labels.set_column(0, "loan_id", pa.array(keys))
    unjudged = [check for check in judge(FAIR, labels=labels).checks if not check.judged]
    assert len(unjudged) == 11
    assert unjudged[-1].name == "3 more groups of age"


def test_without_a_gate_a_group_that_is_not_judged_makes_no_pass(judge) -> None:
    verdict = judge(FAIR, labels=_with("unborn", 120), gates=())
    assert not verdict.passed
    assert [check.name for check in verdict.checks] == ["no checks"]


# Intersections of facets, from the rows to the verdict; the expected numbers are by hand.
BOTH = ["age", "sex"]


@pytest.fixture
def crossed(judge):
    """Judges the rows of `cells`, which are both the test split and the snapshot."""

    def run(cells: Cells = FAIR_BY_FACET, *, gates, contract=None, **section: Any) -> Verdict:
        rows = [
            (label, predicted, age, sex)
            for (age, sex), counts in cells.items()
            for (label, predicted), count in zip(OUTCOMES, counts, strict=True)
            for _ in range(count)
        ]
        csv = "label,predicted_label,age,sex\n"
        csv += "".join(f"{','.join(map(str, row))}\n" for row in rows)
        labels, _, ages, sexes = (list(column) for column in zip(*rows, strict=True))
        late = ["yes" if label else "no" for label in labels]
        snapshot = facet_rows([f"L{number}" for number in range(len(rows))], ages, late)
        snapshot = snapshot.append_column("sex", [sexes])
        value = contract or two_facets()
        return judge(csv, labels=snapshot, gates=gates, contract=value, facets=(), **section)

    return run


def estimates_of(job: Job) -> dict[tuple[str, str], dict[str, Any]]:
    """Returns metric and group -> a line of `intervals.json`."""
    rows = job.json("intervals/intervals.json")
    groups = [row["group"] for row in rows]
    names = [group if isinstance(group, str) else " & ".join(group) for group in groups]
    return {(row["metric"], name): row for row, name in zip(rows, names, strict=True)}


def gate(facet: str | list[str], **more: Any) -> dict[str, Any]:
    return FOUR_FIFTHS | {"facet": facet, **more}


def test_what_no_facet_shows_alone_fails_where_they_meet(crossed) -> None:
    verdict = crossed(gates=[gate("age"), gate("sex")])
    assert [(check.name, check.value) for check in verdict.checks] == [
        ("DI age=old", 1.0),
        ("DI sex=f", 1.0),
    ]
    assert verdict.passed
    verdict = crossed(gates=[gate("age"), gate(["sex", "age"])])
    # 20 of 100 are predicted late, of the rest 180 of 300; and 80 of 100 against 120 of 300, twice
    expected = {
        "DI age=old": 1.0,
        "DI age=old & sex=f": 0.2 / 0.6,
        "DI age=old & sex=m": 0.8 / 0.4,
        "DI age=young & sex=f": 0.8 / 0.4,
    }
    assert {check.name: check.value for check in verdict.checks} == pytest.approx(expected)
    assert [check.passed for check in verdict.checks] == [True, False, False, False]
    assert "put `age` and `sex` in `reweighing.facets`" in verdict.summary


def test_every_metric_of_a_combination_agrees_with_the_table(job, crossed) -> None:
    crossed(gates=[gate("age")])
    estimates = estimates_of(job)
    expected = {
        "DPL": 150 / 300 - 40 / 100,
        "DI": (20 / 100) / (180 / 300),
        "RD": 100 / 150 - 10 / 40,
    }
    for name, value in expected.items():
        row = estimates[name, "old & f"]
        assert row["value"] == pytest.approx(value), name
        assert row["low"] < value < row["high"], name
        assert (row["facet"], row["group"]) == (BOTH, ["old", "f"])
        assert (row["n_disadvantaged"], row["n_advantaged"]) == (100, 300)
        assert row["looks"] == 4
    assert "no group variable" in estimates["CDDPL", "old & f"]["error"]
    assert ("GE", "old & f") not in estimates
    # Clarify's own files know nothing of combinations.
    for name in ("pre-training", "post-training"):
        stages = read_json(job.output("intervals") / f"{name}-analysis.json")
        (stage,) = (value for key, value in stages.items() if key != "version")
        assert {facet: len(groups) for facet, groups in stage["facets"].items()} == {
            "age": 1, "sex": 1
        }  # fmt: skip


def test_a_combination_of_few_rows_is_too_few_to_judge_and_has_no_interval(job, crossed) -> None:
    few = {**FAIR_BY_FACET, ("old", "f"): (10, 10, 10, 10), ("young", "f"): (0, 0, 0, 0)}
    verdict = crossed(few, gates=[gate(BOTH)])
    reasons = {check.name: check.reason for check in verdict.checks if not check.passed}
    assert "40 rows of age=old & sex=f, at least 100" in reasons["DI age=old & sex=f"]
    assert "0 rows of age=young & sex=f, at least 100" in reasons["DI age=young & sex=f"]
    estimates = estimates_of(job)
    assert estimates["DI", "old & f"]["value"] is not None
    assert estimates["DI", "old & f"]["low"] is None
    assert estimates["DI", "young & f"]["error"] == "the disadvantaged group has no rows"
    # the two that are left are all that is judged
    assert estimates["DI", "old & m"]["looks"] == 2


def test_joined_values_stay_joined_and_a_value_that_no_row_has_is_counted(job, crossed) -> None:
    contract = two_facets()
    column_of(contract, "age")["enum"] = [{"value": one} for one in ("young", "old", "oldest")]
    contract["schema"][0]["customProperties"][1]["value"][0]["disadvantaged"] = ["old", "oldest"]
    column_of(contract, "sex")["enum"].append({"value": "unknown"})
    verdict = crossed(gates=[gate(BOTH)], contract=contract)
    values = {check.name: check.value for check in verdict.checks}
    assert values["DI age=old,oldest & sex=f"] == pytest.approx(1 / 3)
    assert values["DI age=old,oldest & sex=unknown"] is None
    assert "DI age=young & sex=unknown" not in values
    assert ("DI", "young & unknown") in estimates_of(job)


def test_at_depth_one_only_what_a_gate_names_is_combined(job, crossed) -> None:
    crossed(gates=[gate("age")], intersection_depth=1)
    assert {group for _, group in estimates_of(job)} == {"old", "f"}
    crossed(gates=[gate(BOTH)], intersection_depth=1)
    assert ("DI", "old & f") in estimates_of(job)


def test_what_is_judged_by_the_bound_holds_at_once_over_all_that_is_judged_so(job, crossed) -> None:
    wide = {"minimum": 0.1, "maximum": 3.0}
    crossed(gates=[gate("age", **wide)])
    plain = estimates_of(job)["DI", "old"]
    assert "looks" not in plain
    crossed(gates=[gate("age", judged_by="bound", **wide)])
    assert estimates_of(job)["DI", "old"] == plain

    # age alone, sex alone, and the three combinations with old or f
    names: list[str | list[str]] = ["age", "sex", BOTH]
    gates = [gate(facet, judged_by="bound", **wide) for facet in names]
    verdict = crossed(gates=gates)
    estimates = estimates_of(job)
    for name in ("old", "f", "old & f", "old & m", "young & f"):
        assert estimates["DI", name]["looks"] == 5
    assert estimates["DI", "young & m"]["looks"] == 4
    assert estimates["DI", "old"]["low"] < plain["low"]
    assert estimates["DI", "old"]["high"] > plain["high"]
    assert "looks" not in estimates["RD", "old"]
    said = "judged by the whole interval; the interval holds over 5 looks at once"
    assert said in verdict.checks[0].reason
