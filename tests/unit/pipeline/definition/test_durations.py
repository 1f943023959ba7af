from datetime import timedelta

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.definition.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("P30D", timedelta(days=30)),
        ("30d", timedelta(days=30)),
        ("T16m", timedelta(minutes=16)),
        ("30dT5h", timedelta(days=30, hours=5)),
        ("P1Y2M3W", timedelta(days=365 + 60 + 21)),
        ("PT30S", timedelta(seconds=30)),
    ],
)
def test_durations_as_the_service_takes_them(text: str, expected: timedelta) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "P", "PT", "30", "a week", "P1H"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(InputError, match="not a duration"):
        parse_duration(text)
