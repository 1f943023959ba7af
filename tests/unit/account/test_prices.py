"""The price file: dated, of one region, laid over by one of your own."""

import datetime as dt
from pathlib import Path

import pytest

from sashiko.account.prices import read_prices, stale
from sashiko.errors import InputError
from tests.infra.variants import settings_of

DEV = settings_of("dev")
IRELAND = DEV.model_copy(update={"region": "eu-west-1"})
KEY = "kms_key_month"
OWN = "{{usd: {usd}, read: {read}, source: our bill}}"


def write(folder: Path, text: str) -> Path:
    file = folder / "own.yaml"
    file.write_text(text)
    return file


def own(usd: float = 0.5, read: str = "2026-11-01") -> str:
    return OWN.format(usd=usd, read=read)


def test_prices_of_your_own_replace_ours_and_those_of_another_region_stand_alone(tmp_path):
    ours = read_prices(DEV)
    prices = read_prices(
        DEV, own=write(tmp_path, f"region: us-east-1\nprices: {{{KEY}: {own()}}}\n")
    )
    assert prices.of(KEY).usd == 0.5
    assert prices.of("dashboard_month") == ours.of("dashboard_month")

    # Ours would be wrong there, and nobody would see it.
    file = write(tmp_path, f"region: eu-west-1\nprices: {{{KEY}: {own()}}}\n")
    prices = read_prices(IRELAND, own=file)
    assert prices.of(KEY).usd == 0.5
    with pytest.raises(InputError, match=r"`prices\.dashboard_month` in eu-west-1"):
        prices.of("dashboard_month")
    assert prices.instances == {}


@pytest.mark.parametrize("region", [None, "us-east-1"])
def test_prices_of_another_region_than_the_environments_are_refused(tmp_path, region):
    file = write(tmp_path, f"region: {region}\n") if region else None
    with pytest.raises(InputError, match=r"us-east-1, but dev is in eu-west-1: pass a file with"):
        read_prices(IRELAND, own=file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("region: us-east-1\nprices: {kms: 1}\n", "own.yaml.*kms_key_month"),
        ("region: us-east-1\nprices: {kms_key_month: {usd: 1}}\n", "own.yaml.*source"),
        ("region: us-east-1\nprices: {kms_key_month: {usd: -1}}\n", "own.yaml.*usd"),
    ],
)
def test_a_wrong_file_is_named_with_its_key(tmp_path, text, message):
    with pytest.raises(InputError, match=f"(?s){message}"):
        read_prices(DEV, own=write(tmp_path, text))


@pytest.mark.parametrize(("days", "expected"), [(180, 0), (181, 1)])
def test_a_price_is_stale_after_180_days(tmp_path, days, expected):
    read = dt.date(2026, 1, 1)
    file = write(tmp_path, f"region: us-east-1\nprices: {{{KEY}: {own(read=read.isoformat())}}}\n")
    price = read_prices(DEV, own=file).of(KEY)
    assert len(stale([price, price], today=read + dt.timedelta(days=days))) == expected
