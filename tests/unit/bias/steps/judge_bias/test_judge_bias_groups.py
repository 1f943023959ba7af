"""Groups that JudgeBias cannot judge: too few rows, or none."""

import pyarrow as pa
import pytest

from tests.unit.bias.steps.bias_folders import Job, facet_rows
from tests.unit.bias.steps.judge_bias.judged_rows import FACETS, FAIR, rows
from tests.unit.contract.documents import column_of, document


def test_a_group_of_few_rows_is_blocked_however_equal(judge) -> None:
    verdict = judge(rows(old=(30, 5), young=(30, 5), count=80))
    assert not verdict.passed
    assert "too few to judge: 80 rows of age=old and 80 rows of all others" in verdict.summary


def _more(csv: str, group: str, count: int) -> str:
    return csv + "".join(f"{index % 2},{index % 2},{group}\n" for index in range(count))


def _with(group: str, count: int) -> pa.Table:
    more = facet_rows([f"M{index}" for index in range(count)], [group] * count, ["no"] * count)
    return pa.concat_tables([FACETS, more])


@pytest.mark.parametrize(("tested", "message"), [(0, "0 rows"), (1, "1 row"), (99, "99 rows")])
def test_a_group_with_few_rows_in_the_test_split_is_named_as_not_judged(
    judge, tested: int, message: str
) -> None:
    verdict = judge(_more(FAIR, "unborn", tested), labels=_with("unborn", 120))
    gated, group = verdict.checks
    assert (gated.name, verdict.passed) == ("DI age=old", True)
    assert (group.name, group.passed, group.judged) == ("age=unborn", True, False)
    assert group.reason == (
        f"{message} in the test split, 120 in all the data; at least 100 are needed to judge it"
    )
    assert "not judged: age=unborn" in verdict.summary


def test_a_group_with_enough_rows_in_the_test_split_is_not_named(judge) -> None:
    verdict = judge(_more(FAIR, "unborn", 100), labels=_with("unborn", 120))
    assert [check.name for check in verdict.checks] == ["DI age=old"]


def test_a_group_that_the_contract_allows_and_no_row_has_is_named(
    job: Job, judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = document()
    column_of(value, "age")["enum"].append({"value": "unborn"})
    monkeypatch.setattr(job, "contract", lambda: Job.contract(job, value))
    [group] = [check for check in judge(FAIR).checks if not check.judged]
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
