import datetime as dt
import math

import pytest

from sashiko.serving.container import text


def test_a_template_takes_its_columns_from_the_row():
    row = {"product": "loan", "note": "late {again}", "other": 1}
    assert text.assemble("{product}: {note} {{x}}", row, "?") == "loan: late {again} {x}"
    assert text.columns("{b} {a} {b}") == ("b", "a")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "unknown"),
        (math.nan, "unknown"),
        (40, "40"),
        (40.0, "40"),
        (0.5, "0.5"),
        (True, "true"),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "2026-01-02T00:00:00+00:00"),
        ("", ""),
    ],
)
def test_a_value_reads_the_same_from_parquet_and_from_json(value, written):
    assert text.assemble("{a}", {"a": value}, "unknown") == written


def test_a_row_without_the_column_is_refused_by_name():
    with pytest.raises(ValueError, match="column `age` is missing"):
        text.assemble("{age}", {"Age": 3}, "unknown")


@pytest.mark.parametrize("template", ["{a", "a}", "{}", "{a.b}", "{a[0]}", "{a!r}", "{a:>9}"])
def test_a_template_is_plain_column_names_only(template):
    with pytest.raises(ValueError):
        text.columns(template)


def test_case_white_space_and_compatibility_forms_do_not_make_a_text_new():
    assert text.normalise("  Caf\u00e9\tIS\n\uff2fpen ") == text.normalise("cafe\u0301 is open")
    assert text.normalise("open") != text.normalise("opens")
