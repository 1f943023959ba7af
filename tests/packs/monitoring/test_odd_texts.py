import numpy as np
import pytest

from sashiko_packs.monitoring.steps.drift import measure_odd_texts
from sashiko_packs.monitoring.text_drift import TextSample

WORDS = ("branch", "queue", "fee", "form", "letter", "clerk", "office", "delay")
QUIET = [f"{a} {b} {c} über 12" for a in WORDS for b in WORDS for c in WORDS]
GERMAN = "Ich habe seit drei Wochen keine Antwort auf meine Beschwerde erhalten"
DAMAGED = "The Ã¼ber fee of the branch"


def _measure(window, reference=QUIET, clusters=None):
    numbers = np.arange(len(window)) if clusters is None else clusters
    return measure_odd_texts("odd", reference, TextSample(window, numbers), tolerance=0.01)


@pytest.mark.parametrize("odd", [GERMAN, DAMAGED, "a \ufffd fee", "the branchâ€™s fee"])
def test_a_tenth_of_texts_that_cannot_be_read_is_shown(odd: str) -> None:
    measured = _measure([*QUIET[:450], *[odd] * 50])
    assert measured.value == pytest.approx(0.1)
    assert measured.p_unchanged < 1e-6


def test_quiet_texts_and_single_new_words_are_none() -> None:
    window = [*QUIET[:400], *[f"{text} app crashed" for text in QUIET[:100]]]
    measured = _measure(window)
    assert (measured.value, measured.p_unchanged) == (0, 1)


def test_as_many_as_the_reference_has_are_allowed() -> None:
    reference = [*QUIET[:450], *[DAMAGED] * 50]
    assert _measure([*QUIET[:450], *[DAMAGED] * 50], reference).p_unchanged > 0.5


def test_one_text_sent_again_and_again_is_one_text() -> None:
    clusters = np.concatenate([np.arange(480), np.full(20, 480)])
    measured = _measure([*QUIET[:480], *[GERMAN] * 20], clusters=clusters)
    assert measured.p_unchanged is None or measured.p_unchanged > 0.01
