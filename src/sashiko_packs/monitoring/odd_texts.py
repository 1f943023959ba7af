"""Texts that the version can hardly read: of damaged letters, or mostly of words it has not met.

A classifier of all texts tells a tenth of such texts from none no better than the tolerance of
their drift. Counted by themselves they are a clear change.
"""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from scipy import stats

from sashiko_packs.monitoring.checks import ODD_TEXTS, Measurement
from sashiko_packs.monitoring.clusters import Clusters
from sashiko_packs.monitoring.input_quality import measure_share
from sashiko_packs.monitoring.text_sample import TextSample

_WORD: Final = re.compile(r"[^\W\d_]{2,}")
# What UTF-8 becomes when it is read as Latin-1 or Windows-1252, and what stands for a lost letter.
_DAMAGED: Final = re.compile("\ufffd|[\u00c2\u00c3][\u0080-\u00bf]|\u00e2[\u20ac\u0080]")
_KNOWN: Final = 0.5  # of a text's words; with fewer known ones it is odd
_CERTAIN: Final = 0.975  # that the reference has no more such texts than are allowed


def measure_odd_texts(
    name: str, reference: Sequence[str], window: TextSample, *, tolerance: float, note: str = ""
) -> Measurement:
    """Measures the share of a window's texts that are damaged or of unknown words.

    Args:
        name: of the measurement.
        reference: texts. As many of them as are odd are allowed; a word of one is known if another
            one has it.
        window: texts.
        tolerance: the share of texts that may be odd beyond that.
        note: on the window's rows (`Measurement`).
    """
    words = Counter(word for text in reference for word in _words(text))
    before = sum(_is_odd(text, words, least=2) for text in reference)
    clusters = Clusters(2)
    odd = np.array([_is_odd(text, words, least=1) for text in window.texts], dtype=np.int64)
    clusters.add(odd, window.clusters, np.zeros(len(odd), dtype=np.bool_))
    return measure_share(
        name,
        clusters.summarise(),
        kind="drift",
        effect=ODD_TEXTS,
        allowed=float(stats.beta.ppf(_CERTAIN, before + 1, max(len(reference) - before, 1))),
        tolerance=tolerance,
        note=note,
    )


def _words(text: str) -> frozenset[str]:
    return frozenset(_WORD.findall(text.casefold()))


def _is_odd(text: str, words: Counter[str], *, least: int) -> bool:
    """Returns whether letters are damaged, or `least` texts know fewer than half of the words."""
    if _DAMAGED.search(text):
        return True
    own = _words(text)
    return sum(words[word] >= least for word in own) < _KNOWN * len(own)
