"""The table of mutations matches pages and code, and a mutation counts only if its tests fail."""

from pathlib import Path

import pytest

from sashiko.errors import InputError
from verification.guards import __main__ as command
from verification.guards.copies import TrialError, mutated, run_tests
from verification.guards.table import Guard, Mutation, Row, read_table

PROOFS = ("tests/test_sum.py::test_adds", "tests/test_sum.py::test_never_looks")
CODE = "def add(one: int, other: int) -> int:\n    return one + other\n"
TESTS = """\
import pytest
from tests.sums import add

@pytest.mark.parametrize("other", [0, 2])
def test_adds(other):
    assert add(1, other) == 1 + other

def test_never_looks():
    add(1, 2)

@pytest.fixture
def broken():
    assert add(1, 2) == 3

def test_has_a_fixture(broken):
    pass
"""


def mutation(**changes: object) -> Mutation:
    fields = {"file": "tests/sums.py", "there": "one + other", "put": "one - other"}
    return Mutation.model_validate({**fields, "caught_by": ["test_adds"], **changes})


def guard(**changes: object) -> Guard:
    return Guard(Row("A1", "| A1 | a pitfall | a guard |", PROOFS), mutation(**changes))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A tree with one module and its tests."""
    files = {"sums.py": CODE, "test_sum.py": TESTS, "__init__.py": ""}
    for name, text in files.items():
        (tmp_path / "tests").mkdir(exist_ok=True)
        (tmp_path / "tests" / name).write_text(text)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    return tmp_path


def test_each_row_of_the_pages_has_a_mutation_of_what_is_there() -> None:
    guards = read_table()
    assert all(item.tests for item in guards)
    files = {test.partition("::")[0] for item in guards for test in item.tests}
    assert [file for file in files if not Path(file).is_file()] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pitfalls: {}\n", "row L1 has no entry; one without a test that"),
        ("pitfalls: {L99: []}\n", "docs/pitfalls.md has no row L99"),
        ("pitfalls: {L1: []}\n", "row L1 has no mutation, and does not say *open*"),
        (
            'pitfalls: {L1: [{file: Makefile, there: "no such", put: x, caught_by: [test_x]}]}\n',
            "row L1: proofs.csv names no test test_x",
        ),
        (
            'pitfalls: {L1: [{file: Makefile, there: "no such", put: x, caught_by: [test_x]}]}\n',
            "row L1: Makefile has 0 of, where one is due: 'no such'",
        ),
        (
            "pitfalls: {L1: [{file: gone.py, there: a, put: b, caught_by: [test_x]}]}\n",
            "gone.py has 0 of",
        ),
    ],
)
def test_a_table_that_does_not_fit_says_where(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "table.yaml").write_text(text)
    with pytest.raises(InputError) as raised:
        read_table(tmp_path / "table.yaml")
    assert message in str(raised.value)


def test_a_mutation_is_there_for_a_while_and_its_bytecode_goes_with_it(copy: Path) -> None:
    run_tests(copy, ["tests/test_sum.py::test_adds"])
    with mutated(copy, mutation()):
        assert "one - other" in (copy / "tests/sums.py").read_text()
        assert list(copy.glob("tests/__pycache__/sums.*.pyc")) == []
    assert (copy / "tests/sums.py").read_text() == CODE


def test_what_fails_in_one_of_its_cases_has_caught_it(copy: Path) -> None:
    assert command.try_one(guard(), copy).problem == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"caught_by": ["test_never_looks"]}, "tests/test_sum.py::test_never_looks: passed"),
        ({"put": "one +"}, "pytest ended with status"),  # it does not compile: no test ran
        ({"there": "def add", "put": "def plus"}, "pytest ended with status"),
    ],
)
def test_what_fails_for_another_reason_or_not_at_all_has_not(
    copy: Path, changes: dict[str, object], message: str
) -> None:
    assert message in command.try_one(guard(**changes), copy).problem


def test_a_fixture_that_breaks_is_no_assertion_that_fails(copy: Path) -> None:
    test = "tests/test_sum.py::test_has_a_fixture"
    with mutated(copy, mutation()):
        assert run_tests(copy, [test]) == {test: "error"}


def test_a_test_that_is_not_there_is_no_outcome(copy: Path) -> None:
    with pytest.raises(TrialError, match="status 4"):
        run_tests(copy, ["tests/test_sum.py::test_gone"])


def test_a_survivor_is_an_exit_status_and_a_line(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detected, survivor = guard(), guard(caught_by=["test_never_looks"])
    assert command.try_all([detected], [copy]) == 0
    assert command.try_all([detected, survivor], [copy]) == 1
    output = capsys.readouterr()
    first, second, third = output.out.splitlines()
    assert "caught" in first and "caught" in second
    assert "SURVIVED" in third and "test_never_looks: passed" in third
    assert "1 of 2 mutations caught" in output.err


def test_tests_that_fail_by_themselves_prove_nothing(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "tests/sums.py").write_text(CODE.replace("+", "*"))
    assert command.try_all([guard(there="one * other")], [copy]) == 1
    output = capsys.readouterr()
    assert "tests/test_sum.py::test_adds: failed" in output.err
    assert output.out == ""


def test_the_short_form_takes_others_with_another_commit_and_never_a_slow_one() -> None:
    guards = read_table()
    one, repeated, other = (command.sample(guards, commit=commit) for commit in ("a", "a", "b"))
    assert one == repeated
    assert one != other
    assert not any(item.mutation.slow for item in (*one, *other))


def test_rows_are_chosen_by_name() -> None:
    guards = read_table()
    assert {item.row.number for item in command.choose(guards, ["C6", "U9"])} == {"C6", "U9"}
    with pytest.raises(InputError, match="no row X1"):
        command.choose(guards, ["C6", "X1"])
