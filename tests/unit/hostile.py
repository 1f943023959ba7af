"""Values and documents that somebody made up to break a parser."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

Path = tuple[str | int, ...]


def nested(levels: int) -> Any:
    """A list in a list in a list."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


_ODD = (
    None, True, False, 0, -1, 10**400, 1e308, float("nan"), float("inf"), "", "\0", "\ud800",
    "\u202e", "x" * 10_000, "1" * 5000, "../../etc/passwd", "<script>", "{", "{a.b}", "[", "(?",
    "P999999999Y", "x[99999999999999999]", [], {}, [None], {"": 1}, {"Get": 1},
    {"Get": "Steps.A.B"}, {"Std:Join": 1}, {"Std:Join": {"Values": 1}}, {"Std:JsonGet": {}},
    nested(30), nested(120),
)  # fmt: skip
_KEYS = ("", "zzz", "Get", "Std:Join", "name", "\ud800", "x" * 300)

# Files are read in a millisecond or in hundreds, by what the machine does beside.
bounded = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@st.composite
def bent(draw: st.DrawFn, document: Any) -> Any:
    """The document with up to three places replaced, removed, repeated elsewhere, or added to."""
    result = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = [place for place in _places(result) if place]
        if places:
            place = draw(st.sampled_from(places))
            holder = _at(result, place[:-1])
            kind = draw(st.sampled_from(("replace", "replace", "remove", "repeat", "add")))
            if kind == "remove":
                del holder[place[-1]]
            elif kind == "repeat":
                holder[place[-1]] = copy.deepcopy(
                    _at(result, draw(st.sampled_from([*_places(result)])))
                )
            elif kind == "add" and isinstance(holder, dict):
                holder[draw(st.sampled_from(_KEYS))] = copy.deepcopy(draw(_values))
            else:
                holder[place[-1]] = copy.deepcopy(draw(_values))
    return result


_values = st.sampled_from(_ODD) | st.text(max_size=20) | st.integers() | st.floats()


def _places(value: Any, place: Path = ()) -> Iterator[Path]:
    yield place
    # What is nested to exhaust the stack is bent no further.
    if len(place) < 12:
        children = value.items() if isinstance(value, dict) else ()
        children = enumerate(value) if isinstance(value, list) else children
        for key, child in children:
            yield from _places(child, (*place, key))


def _at(value: Any, place: Path) -> Any:
    for part in place:
        value = value[part]
    return value
