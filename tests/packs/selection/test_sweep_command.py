import pytest

from tests.unit.commands.in_process import sashiko

SWEEP = ("run", "--recipe", "complaints", "--sweep")  # a fork's own may reweigh nothing


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "--sweep", "--env", "dev"), "--env local"),
        (("run", "--sweep", "--strengths", "0;1"), "--strengths 0;1: expected numbers with commas"),
        ((*SWEEP, "--strengths", "1,9"), "--strengths 9: key `reweighing.strength`"),
        ((*SWEEP, "--strengths", "nan"), "--strengths nan: key `reweighing.strength`"),
        (("run", "--sweep", "--set", "reweighing.facets=[]"), "key `reweighing.facets` is empty"),
    ],
)
def test_bad_input_ends_with_one_error_and_status_1(arguments, expected) -> None:
    done = sashiko(*arguments)
    assert done.returncode == 1
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
