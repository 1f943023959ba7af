import numpy as np

from sashiko.data.generators.complaints import uniform


def _rows(start: int, stop: int):
    return np.arange(start, stop, dtype=np.uint64)


def test_a_row_has_the_same_number_in_any_batch():
    whole = uniform(7, "label", _rows(0, 1000))
    parts = [uniform(7, "label", _rows(0, 300)), uniform(7, "label", _rows(300, 1000))]
    assert np.array_equal(whole, np.concatenate(parts))


def test_numbers_do_not_change_between_releases():
    # Rows made today must be made again by the next numpy and the next machine.
    assert uniform(7, "label", _rows(0, 3)).tolist() == [
        0.35653343603024923,
        0.6039825979316211,
        0.34459457491327805,
    ]
