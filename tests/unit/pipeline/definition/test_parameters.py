import pytest

from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Parameter, parameter_values


def parameter(kind: str, default: object = None, allowed: tuple[object, ...] = ()) -> Parameter:
    return Parameter(name="P", type=kind, default=default, allowed=allowed)


@pytest.mark.parametrize(("kind", "text", "expected"), [
    ("String", "7", "7"),
    ("Integer", "7", 7),
    ("Float", "0.5", 0.5),
    ("Boolean", "false", False),
    ("Boolean", "True", True),
])  # fmt: skip
def test_text_becomes_a_value_of_the_type(kind: str, text: str, expected: object) -> None:
    value = parameter_values([parameter(kind)], {"P": text})["P"]
    assert value == expected
    assert type(value) is type(expected)


def test_the_default_stands_in() -> None:
    assert parameter_values([parameter("Boolean", False)], {}) == {"P": False}


@pytest.mark.parametrize(("item", "texts", "message"), [
    (parameter("String"), {}, "parameter `P` (String) has no value"),
    (parameter("String"), {"P": "x", "Q": "y"}, "no parameter `Q`; it has: P"),
    (parameter("Integer"), {"P": "7.5"}, "'7.5' is not a Integer"),
    (parameter("Boolean"), {"P": "yes"}, "'yes' is not a Boolean"),
    (parameter("Integer", True), {}, "default True is not a Integer"),
    (parameter("String", "c", ("a", "b")), {}, "'c' is not one of a, b"),
    (parameter("String", "a", ("a", "b")), {"P": "c"}, "'c' is not one of a, b"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(item: Parameter, texts: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        parameter_values([item], texts)
    assert message in str(caught.value)
