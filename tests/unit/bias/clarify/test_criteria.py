from collections.abc import Sequence

import pyarrow as pa
import pytest

from sashiko.bias.clarify.counting import rows_with

CODES = ["0", "1", "2", "0"]


@pytest.mark.parametrize(
    ("texts", "values", "expected"),
    [
        pytest.param(["a", "b", "a"], ["a"], ["a", "a"], id="a text"),
        pytest.param(["a", "b", "c"], ["a", "c"], ["a", "c"], id="texts"),
        pytest.param(CODES, [1], ["1"], id="a code"),
        pytest.param(CODES, [0, "2"], ["0", "2", "0"], id="codes"),
        pytest.param(["0.0", "1.0"], [1], ["1.0"], id="a code as float"),
        pytest.param(["40", "40.0"], ["40"], ["40"], id="a number as text is a text"),
        pytest.param([None, "a"], ["a"], ["a"], id="null is no text"),
        pytest.param([None, None], [1], [], id="nothing but null"),
        pytest.param(["None", "1"], ["None"], ["None"], id="the text None"),
        pytest.param(["1", "x"], [1], ["1"], id="a number among texts"),
    ],
)
def test_which_rows_have_a_configured_value(
    texts: Sequence[str | None], values: Sequence[int | str], expected: Sequence[str]
) -> None:
    column = pa.chunked_array([pa.array(texts, pa.string())])
    chosen = zip(texts, rows_with(column, values), strict=True)
    assert [text for text, is_chosen in chosen if is_chosen] == expected
