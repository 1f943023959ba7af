"""Personal data in texts are counted by their form, and the draft says so per column."""

from pathlib import Path

import pyarrow as pa
import pytest

from sashiko.data.draft.column_drafts import describe_personal
from tests.unit.data.draft.conftest import ROWS, columns


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("call me under 0171 2345678 please", "a phone number"),
        ("call +44 20 7946 0000", "a phone number"),
        ("Telefon (030) 901820-11", "a phone number"),
        ("write to ana.lind@example.org, thanks", "an e-mail address"),
        ("card 4111 1111 1111 1111 was charged twice", "a card number"),
        ("card 5500005555555559", "a card number"),
        ("to DE89 3704 0044 0532 0130 00", "an IBAN"),
    ],
)
def test_personal_data_with_a_form_are_counted(text, what):
    texts = pa.array([text, "nothing here", "nor here", None, "nor here"])
    assert f"25.0 % have {what}" in describe_personal(texts)


@pytest.mark.parametrize(
    "text",
    [
        "paid 1.234,56 on 02.01.2023 and 0.75 later",
        "on 2023-01-02 at 10:30, order 2023-000123",
        "number 4111 1111 1111 1112 fails its check digit",
        "the score was 3:2 @ home",
    ],
)
def test_amounts_dates_and_numbers_are_none(text):
    assert describe_personal(pa.array([text])) == ""


def test_the_draft_says_so_in_its_note_and_on_the_columns_line(draft):
    texts = [f"I could not come, {n % 9} days of fever{' 0171 2345678' * (n % 5 == 0)}" for n in
             range(ROWS)]  # fmt: skip
    draft(columns(Reason_Given=texts))
    assert "reason_given: of the texts 20.0 % have a phone number" in draft.notes
    written = Path("contracts/visits.odcs.yaml").read_text()
    assert (
        "# review: of the texts 20.0 % have a phone number: read some, and call it pii" in written
    )
