"""Counts texts with personal data that has a form: phone numbers, e-mail addresses, card numbers.

Names and addresses have none, so a text without a match may still name a person.
"""

import re
from collections.abc import Mapping
from itertools import cycle

import pyarrow as pa
import pyarrow.compute as pc

# RE2's syntax. A phone number begins with 0 or +, so that amounts and dates are none.
_PATTERNS: Mapping[str, str] = {
    "a phone number": r"(?:^|[^\d+.,])(?:\+\d|\(?0[1-9])[\d /()-]{5,16}\d",
    "an e-mail address": r"[^@\s]+@[^@\s]+\.[A-Za-z]{2,}",
    "an IBAN": r"\b[A-Z]{2}\d{2}(?: ?[A-Z\d]{4}){3,7}",
}
_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")


def describe_personal(texts: pa.Array) -> str:
    """Says which share of the texts has which personal data; empty if none has any.

    Args:
        texts: null for a missing one.
    """
    filled = texts.drop_null()
    counts = {
        what: pc.sum(pc.match_substring_regex(filled, pattern)).as_py() or 0
        for what, pattern in _PATTERNS.items()
    }
    digits = filled.filter(pc.match_substring_regex(filled, r"\d(?:[ -]?\d){12}"))
    counts["a card number"] = sum(
        any(_luhn(re.sub(r"\D", "", number)) for number in _CARD.findall(text))
        for text in digits.to_pylist()
    )
    shares = [
        f"{100 * count / len(filled):.1f} % have {what}" for what, count in counts.items() if count
    ]
    return ", ".join(shares)


def _luhn(number: str) -> bool:
    """Checks the last digit: ISO/IEC 7812-1, annex B."""
    digits = zip(reversed(number), cycle((1, 2)), strict=False)
    doubled = [int(digit) * factor for digit, factor in digits]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
