import datetime as dt

import pytest

from sashiko.commands.options import parse_duration, parse_time
from sashiko.errors import InputError

NOON = dt.datetime(2026, 3, 9, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(("text", "time"), [
    ("2026-03-09T12:00", NOON),
    ("2026-03-09T13:00+01:00", NOON),
    ("20260309T120000Z", NOON),
    ("2026-03-09", NOON.replace(hour=0)),
])  # fmt: skip
def test_a_time_is_in_utc_unless_it_names_a_zone(text: str, time: dt.datetime) -> None:
    assert parse_time(text, option="--now") == time


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01"])
def test_another_text_is_refused_with_the_option_and_an_example(text: str) -> None:
    with pytest.raises(InputError, match=f"--now {text}: .* such as 2026-03-09"):
        parse_time(text, option="--now")


def test_a_duration_is_in_days_or_hours() -> None:
    assert parse_duration("7d", option="--window") == dt.timedelta(days=7)
    assert parse_duration("36h", option="--window") == dt.timedelta(hours=36)


@pytest.mark.parametrize("text", ["", "7", "0d", "-1d", "1w", "99999d"])
def test_another_duration_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=f"--window {text}: expected days or hours"):
        parse_duration(text, option="--window")
