"""Random numbers that depend only on the seed, a stream's name and the row's number.

A row has the same values for each batch size, machine and version of numpy.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def uniform(seed: int, stream: str, row_numbers: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Returns one number in [0, 1) per row.

    The numbers are those of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom
    number generators"), started at a digest of seed and stream, at position `row + 1`.

    Args:
        seed: of the data set.
        stream: the purpose of the numbers; different names give independent numbers.
        row_numbers: uint64, any shape.

    Returns:
        float64 of the same shape, multiples of 2^-53.
    """
    digest = hashlib.sha256(f"{seed}/{stream}".encode()).digest()
    start = np.uint64(int.from_bytes(digest[:8], "big"))
    state = start + (row_numbers + np.uint64(1)) * _GOLDEN
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    state = state ^ (state >> np.uint64(31))
    return (state >> np.uint64(11)).astype(np.float64) * 2.0**-53


def pick(numbers: NDArray[np.float64], count: int | NDArray[np.int64]) -> NDArray[np.int64]:
    """Turns numbers in [0, 1) into equally likely indices below `count` (one, or one per row)."""
    return (numbers * count).astype(np.int64)


def pick_weighted(numbers: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.int64]:
    """Turns numbers in [0, 1) into indices of `weights`, each as likely as its share of the sum."""
    bounds = np.cumsum(weights)
    indices = np.searchsorted(bounds / bounds[-1], numbers, side="right")
    return np.minimum(indices, len(weights) - 1).astype(np.int64)
