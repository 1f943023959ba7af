"""The analyses that JudgeBias takes: Clarify's own like ours, and none of other data."""

import copy

import pytest

from sashiko.errors import InputError
from tests.unit.bias.steps.bias_folders import Job, facet_rows
from tests.unit.bias.steps.judge_bias.judged_rows import FACETS, FAIR, UNFAIR, rows


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


def test_an_analysis_of_other_data_is_refused(job: Job, analyse, judge) -> None:
    other = facet_rows(["a", "b", "c", "d"], ["old", "old", "young", "young"], ["yes", "no"] * 2)
    with pytest.raises(InputError, match=r"PreBias's .* says .* age=old is .* but the data give"):
        judge(FAIR, pre=analyse(other))
    with pytest.raises(InputError, match=r"PostBias's .* says .* age=old is .* but the data give"):
        judge(UNFAIR, analyse(FAIR))
    assert not job.output("verdict").exists() or not list(job.output("verdict").iterdir())


def test_an_analysis_of_another_group_than_the_contracts_is_refused(
    job: Job, analyse, judge
) -> None:
    post = analyse(FAIR)
    post["post_training_bias_metrics"]["facets"]["age"][0]["value_or_threshold"] = "young"
    with pytest.raises(InputError, match="age=young, which the contract does not list"):
        judge(FAIR, post)


def test_swapped_analyses_are_named(analyse, judge) -> None:
    with pytest.raises(InputError, match=r"PreBias.*pre_training_bias_metrics"):
        judge(FAIR, pre=analyse(FAIR))
    with pytest.raises(InputError, match=r"PostBias.*post_training_bias_metrics"):
        judge(FAIR, analyse(FACETS))


def test_a_label_that_a_group_lacks_counts_although_clarify_leaves_it_out(
    job: Job, analyse, judge
) -> None:
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
