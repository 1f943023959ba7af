"""Hostile YAML: a clear error in bounded time and memory."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sashiko.base.yaml_text import YamlError, parse_yaml
from tests.unit.hostile import bounded

# Two billion values in half a kilobyte.
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, after in zip("abcdefghi", "bcdefghij", strict=True)
)
MERGED = "a: &a {k: 1}\n" + "".join(
    f"{after}: &{after} {{<<: [{', '.join([f'*{before}'] * 9)}]}}\n"
    for before, after in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: {epochs: 1}\ntrain: {epochs: 2}", "line 2, column 1: duplicate key `train`"),
        ("a: {b: 1, 'b': 2}", "column 11: duplicate key `b`"),
        ("[" * 100_000, "column 41: nested deeper than 40 levels"),
        ("{a: " * 5000, "nested deeper"),
        ("- " * 5000, "nested deeper"),
        (BOMB, "more than 50,000 values"),
        (MERGED, "more than 50,000 values"),
        ("a: &a [*a]", r"`\*a` contains itself"),
        ("&a {train: *a}", r"`\*a` contains itself"),
        ("a: *b", "undefined alias"),
        ("a: 2021-13-45", "line 1, column 4: `2021-13-45` is not a valid timestamp"),
        ("a: 2021-01-01T00:00:00+99:00", "is not a valid timestamp"),
        ("a: !!timestamp x", "`x` is not a valid timestamp"),
        ("a: " + "1" * 5000, r"`1+ \.\.\. 1+` is not a valid int"),
        ("a: 0x" + "f" * 100, "a number beyond 64 bits"),
        ("a: 0b_", "`0b_` is not a valid int"),
        ("a: !!int ''", "`` is not a valid int"),
        ("a: !!bool x", "`x` is not a valid bool"),
        ("a: !!float x", "`x` is not a valid float"),
        ("a: " + "1:" * 200 + "0.5", "is not a valid float"),
        ("a: .nan", "`.nan` is not a finite number"),
        ("a: -.inf", "not a finite number"),
        ("a: 1.0e+999", "not a finite number"),
        ('a: "\\ud800"', "half of a surrogate pair"),
        ('extends: "x\\0.yaml"', "a text with a NUL"),
        ("a: \0", "#x0000"),
        ('a: "\\U99999999"', "escape beyond Unicode"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: 1\n---\nb: 2", "expected a single document"),
        ("? [a]\n: 1", "unhashable key"),
    ],
)
def test_what_is_no_plain_value_is_refused_with_its_place(text, message) -> None:
    with pytest.raises(YamlError, match=message) as error:
        parse_yaml(text)
    assert len(str(error.value)) < 1000


def test_anchors_that_end_are_followed() -> None:
    text = "a: &a {x: 1}\nb: {<<: *a, x: 2, y: *a}\nc: [*a, *a]"
    assert parse_yaml(text) == yaml.safe_load(text)


_LETTERS = st.text(alphabet="ab0_:-.&*<>[]{}!%|'\"\\\n \t#,?0xeE+", max_size=60)


@bounded
@given(text=_LETTERS | st.text(max_size=60))
def test_any_text_is_read_as_yaml_reads_it_or_refused(text) -> None:
    try:
        value = parse_yaml(text)
    except YamlError as error:
        assert str(error)
        return
    assert repr(value) == repr(yaml.safe_load(text))
