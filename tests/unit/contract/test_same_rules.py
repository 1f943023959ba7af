"""Great Expectations and Glue's documented semantics agree on the same rows."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from sashiko.contract.checkpoint import run_checks
from sashiko.contract.dqdl import dqdl_ruleset
from sashiko.contract.model import Contract
from sashiko.contract.rules import expectations
from tests.unit.contract.documents import contract_of, document, every_rule, rows, stream_of
from tests.unit.contract.dqdl_evaluator import evaluate
from tests.unit.contract.dqdl_parser import UnknownDqdlError
from tests.unit.contract.rule_cases import tables
from tests.unit.contract.shipped_rows import census, complaints

NAMES = ["complaints", "census", "loans", "every rule"]


@dataclass(frozen=True)
class Results:
    """A contract, tables, and Great Expectations' verdict of each rule on each table."""

    contract: Contract
    tables: tuple[pa.Table, ...]
    passed: tuple[dict[str, bool], ...]


def _results(contract: Contract, good: pa.Table) -> Results:
    cases = tuple(tables(contract, good))
    return Results(contract, cases, tuple(_great_expectations(contract, table) for table in cases))


def _great_expectations(contract: Contract, table: pa.Table) -> dict[str, bool]:
    checks = run_checks(stream_of(table), contract, "all")
    names = [item.name for item in expectations(contract, "all")]
    return {name: check.passed for name, check in zip(names, checks, strict=True)}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Results]:
    small = contract_of(document(), tmp_path_factory.mktemp("small"))
    every = contract_of(every_rule(), tmp_path_factory.mktemp("every"))
    return {
        "complaints": _results(*complaints()),
        "census": _results(*census()),
        "loans": _results(small, rows(small)),
        "every rule": _results(every, rows(every)),
    }


def _differences(
    results: Results, text: str | None = None
) -> Iterator[tuple[str, int, bool, bool]]:
    """Yields rule, table, and the two verdicts where they differ."""
    ruleset = dqdl_ruleset(results.contract)
    for number, (table, passed) in enumerate(zip(results.tables, results.passed, strict=True)):
        verdicts = evaluate(text or ruleset.text, table)
        for rule, verdict in zip(ruleset.rules, verdicts, strict=True):
            if verdict != passed[rule.name]:
                yield rule.name, number, passed[rule.name], verdict


@pytest.mark.parametrize("name", NAMES)
def test_each_rule_is_in_the_ruleset_or_refused_with_a_reason(
    name: str, results: dict[str, Results]
) -> None:
    ruleset = dqdl_ruleset(results[name].contract)
    listed = [rule.name for rule in ruleset.rules] + [item.rule for item in ruleset.unmapped]
    assert sorted(listed) == sorted(results[name].passed[0])
    assert all(item.reason for item in ruleset.unmapped)


@pytest.mark.parametrize("name", NAMES)
def test_both_engines_say_the_same_of_every_rule(name: str, results: dict[str, Results]) -> None:
    assert list(_differences(results[name])) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_rule_was_kept_and_broken(name: str, results: dict[str, Results]) -> None:
    for rule in dqdl_ruleset(results[name].contract).rules:
        assert {passed[rule.name] for passed in results[name].passed} == {True, False}, rule.name


@pytest.mark.parametrize(
    ("right", "wrong", "rule"),
    [
        ('"pages" >= 100', '"pages" > 100', "pages: at least 100"),
        ('"price" < 10', '"price" <= 10', "price: less than 10"),
        ('"due" >= "2025-03-01"', '"due" > "2025-03-01"', "due: at least 2025-03-01 00:00:00"),
        ('400 where "`pages` is not null"', "400", "pages: at most 400"),
        ("401, NULL]", "401]", "pages: allowed values"),
        ('"title" >= 4', '"title" >= 5', "title: at least 4 characters"),
        ('"(?s).*(?:^[A-Z]).*"', '"^[A-Z]"', "title: matches ^[A-Z]"),
        ('"(?s).*(?:[a-z]$).*"', '".*[a-z]$"', "title: matches [a-z]$"),
        ('in ["young", "old", NULL]', 'in ["young", NULL]', "age: allowed values"),
        ('IsComplete "title"', 'IsComplete "age"', "title: no nulls"),
        ('IsUnique "loan_id"', 'IsUnique "pages"', "loan_id: unique"),
        ('"title" "age" = 1.0', '"title" = 1.0', "table: unique together: title + age"),
        ("count(distinct `price`) /", "count(`price`) /", "price: less than 25 % repeated"),
        ("with threshold >= 0.75", "with threshold > 0.75", "title: at most 25.0 % unlike [a-z]$"),
        ("RowCount < 5", "RowCount <= 5", "table: fewer than 5 rows"),
        ("`lent_at` < timestamp", "`lent_at` <= timestamp", "lent_at: at least 2025-03-01"),
        (" 23:59:59.999999Z", " 00:00:00Z", "lent_at: newest row from 2025-03-08 to 2025-03-10"),
        ("(ColumnCount = 9)", "(ColumnCount >= 9)", "table: exactly the contract's columns"),
    ],
)
def test_a_wrong_rule_is_noticed(
    right: str, wrong: str, rule: str, results: dict[str, Results]
) -> None:
    text = dqdl_ruleset(results["every rule"].contract).text
    assert right in text
    differing = {
        name for name, *_ in _differences(results["every rule"], text.replace(right, wrong))
    }
    assert any(name.startswith(rule) for name in differing), differing


def test_a_column_of_nothing_but_nulls_is_the_one_known_difference(tmp_path: Path) -> None:
    contract = contract_of(document(), tmp_path)
    table = rows(contract, pages=[None] * 4)
    nulls = Results(contract, (table,), (_great_expectations(contract, table),))
    assert list(_differences(nulls)) == [("pages: at least 1", 0, True, False)]


@pytest.mark.parametrize(
    "text",
    [
        'Rules = [ Sum "a" > 1 ]',
        'Rules = [ ColumnValues "a" between 1 and 2 ]',
        'Rules = [ ColumnValues "a" in ["x", 1] ]',
        'Rules = [ IsComplete "a" > 0.5 ]',
        "Rules = [ (RowCount > 1) or (RowCount < 1) ]",
        "Rules = [ RowCount > 1e3 ]",
        "Rules = [ RowCount > 1, ]",
    ],
)
def test_the_evaluator_refuses_what_it_does_not_know(text: str) -> None:
    with pytest.raises(UnknownDqdlError):
        evaluate(text, pa.table({"a": [1]}))
