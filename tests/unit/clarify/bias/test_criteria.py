from collections.abc import Sequence

import pyarrow as pa
import pytest

from sashiko.clarify.bias.criteria import criterion
from sashiko.errors import InputError

AGES = [str(age) for age in range(18, 90)]
CODES = ["0", "1", "2", "0"]


def chosen(texts: Sequence[str | None], *configured: object) -> list[str | None]:
    column = pa.chunked_array([pa.array(texts, pa.string())])
    mask = criterion(column, configured, key="k").holds(column)
    return [text for text, is_chosen in zip(texts, mask, strict=True) if is_chosen]


def named(texts: Sequence[str | None], *configured: object) -> str:
    return criterion(pa.chunked_array([pa.array(texts, pa.string())]), configured, key="k").name


@pytest.mark.parametrize(
    ("texts", "configured", "expected", "name"),
    [
        pytest.param(["a", "b", "a"], ["a"], ["a", "a"], "a", id="a text"),
        pytest.param(["a", "b", "c"], ["a", "c"], ["a", "c"], "a,c", id="texts"),
        pytest.param(CODES, [1], ["1"], "1", id="a code"),
        pytest.param(CODES, [0, 2], ["0", "2", "0"], "0,2", id="codes"),
        pytest.param(["0.0", "1.0"], [1], ["1.0"], "1", id="a code as float"),
        pytest.param(["0", "1"], [1.0], ["1"], "1.0", id="a float as code"),
        pytest.param(AGES, ["40"], ["40"], "40", id="a number as text is a value"),
        pytest.param(AGES, [40, 41], ["40", "41"], "40,41", id="whole numbers are values"),
        pytest.param(AGES, [80], AGES[63:], "(80, 89]", id="a threshold is not among its group"),
        pytest.param(AGES, [80.5], AGES[63:], "(80.5, 89.0]", id="between two numbers"),
        pytest.param(AGES, [39.5, 41.5], ["40", "41"], "(39.5, 41.5]", id="a range"),
        pytest.param(["0", "1"], [0.5], ["1"], "(0.5, 1.0]", id="a fraction is a threshold"),
        pytest.param(["0.2", "0.5", "0.7"], [0.5], ["0.7"], "(0.5, 0.7]", id="scores"),
        pytest.param(["0.5", "1", "2"], [1], ["2"], "(1.0, 2.0]", id="numbers with a fraction"),
        pytest.param(["0.5", "1", "2"], [0.5, 1], ["1"], "(0.5, 1.0]", id="with their range"),
        pytest.param(["-1.5", "-2"], [-1.75], ["-1.5"], "(-1.75, -1.5]", id="below zero"),
        pytest.param(["1e3", "2.5"], [100], ["1e3"], "(100.0, 1000.0]", id="an exponent"),
        pytest.param(["0.5", "1.5"], [7], [], "(7.0, 7.0]", id="above all numbers"),
        pytest.param([None, "0.5", None, "2"], [1], ["2"], "(1.0, 2.0]", id="null is in no group"),
        pytest.param([None, "a"], ["a"], ["a"], "a", id="null is no text"),
        pytest.param([None, None], [1], [], "1", id="nothing but null"),
        pytest.param(["None", "1"], ["None"], ["None"], "None", id="the text None"),
        pytest.param(["1", "x"], [1], ["1"], "1", id="a number among texts is a value"),
    ],
)
def test_what_values_of_a_configuration_mean(texts, configured, expected, name: str) -> None:
    assert chosen(texts, *configured) == expected
    assert named(texts, *configured) == name


@pytest.mark.parametrize("count", [11, 50])
def test_a_whole_number_that_may_be_either_is_refused_with_both_ways_out(count: int) -> None:
    texts = [str(number) for number in range(count)]
    with pytest.raises(InputError, match=rf"`k`: 7 may be one of the column\'s {count} values or"):
        chosen(texts, 7)
    assert chosen(texts, "7") == ["7"]
    assert chosen(texts, 7.5) == texts[8:]


def test_more_rows_of_the_same_values_mean_the_same(count: int = 1000) -> None:
    assert named(CODES * count, 1) == named(CODES, 1) == "1"
    assert named(AGES * count, 40) == named(AGES, 40) == "(40, 89]"


def test_a_range_upside_down_is_refused() -> None:
    with pytest.raises(InputError, match=r"`k`: the range 0\.9 to 0\.1 is reversed"):
        chosen(["0.5"], 0.9, 0.1)
