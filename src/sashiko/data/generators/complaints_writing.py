"""Composes the complaints' texts from the phrase bank, column by column."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sashiko.data.generators import complaints_texts as bank
from sashiko.data.generators.counter_random import pick

Indices = NDArray[np.int64]
Numbers = NDArray[np.float64]

GENDERS = ("female", "male")
# A hint at the gender is a first name this often, and else a phrase such as "my husband".
NAME_SHARE = 0.15


@dataclass(frozen=True)
class Edge:
    """The texts that may open, or close, a complaint."""

    plain: Sequence[str]
    relations: Mapping[str, Sequence[str]]
    names: Sequence[str]


OPENERS = Edge(bank.OPENERS, bank.RELATION_OPENERS, bank.NAME_OPENERS)
CLOSERS = Edge(bank.CLOSERS, bank.RELATION_CLOSERS, bank.NAME_CLOSERS)


def take(banks: Sequence[Sequence[str]], which: Indices | int, index: Indices) -> pa.Array:
    """Returns `banks[which][index]` per row; all banks are of one length."""
    texts = pa.array([text for texts in banks for text in texts])
    return texts.take(pa.array(which * len(banks[0]) + index))


def by_gender(texts: Mapping[str, Sequence[str]]) -> list[Sequence[str]]:
    """Returns the banks of both genders, in the order of `GENDERS`."""
    return [texts[gender] for gender in GENDERS]


def topics(product: Indices, *, topic: Numbers, frame: Numbers) -> pa.Array:
    """Returns a sentence on the subject of a complaint, not on its severity."""
    sentences = [
        [frame.format(topic) for topic in topics for frame in bank.TOPIC_FRAMES]
        for topics in bank.TOPICS.values()
    ]
    frames = len(bank.TOPIC_FRAMES)
    index = pick(topic, len(sentences[0]) // frames) * frames + pick(frame, frames)
    return take(sentences, product, index)


def phrases(
    severity: Indices,
    *,
    is_new: NDArray[np.bool_],
    is_unheard: NDArray[np.bool_],
    numbers: Numbers,
) -> pa.Array:
    """Returns the phrase with the severity.

    It is one of the bank's last quarter where `is_new`, and one that is in neither part of the bank
    where `is_unheard`.
    """
    phrases = (bank.LOW, bank.MEDIUM, bank.HIGH)
    new = len(bank.LOW) // 4
    known = len(bank.LOW) - new
    index = np.where(is_new, known + pick(numbers, new), pick(numbers, known))
    usual = take(phrases, severity, index)
    if not is_unheard.any():
        return usual
    unheard = take(bank.UNHEARD, severity, pick(numbers, len(bank.UNHEARD[0])))
    return pc.if_else(pa.array(is_unheard), unheard, usual)


def edges(
    edge: Edge,
    *,
    hinted: NDArray[np.bool_],
    gender: Indices,
    first_name: Indices,
    kind: Numbers,
    numbers: Numbers,
) -> pa.Array:
    """Returns an opener or closer, which reveals the gender where `hinted`."""
    plain = take([edge.plain], 0, pick(numbers, len(edge.plain)))
    relations = by_gender(edge.relations)
    relation = take(relations, gender, pick(numbers, len(relations[0])))
    named = _named(edge.names, gender, first_name, numbers)
    hint = pc.if_else(pa.array(kind < NAME_SHARE), named, relation)
    return pc.if_else(pa.array(hinted), hint, plain)


def _named(
    frames: Sequence[str], gender: Indices, first_name: Indices, numbers: Numbers
) -> pa.Array:
    names = by_gender(bank.FIRST_NAMES)
    banks = [[frame.format(name) for frame in frames for name in group] for group in names]
    return take(banks, gender, pick(numbers, len(frames)) * len(names[0]) + first_name)
