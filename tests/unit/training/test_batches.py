import numpy as np
import torch

from sashiko.training.compute import collate, epoch_batches, ordered_batches
from sashiko.training.examples import Examples

_LENGTHS = np.random.default_rng(0).integers(5, 60, 1003)


def test_an_epoch_takes_every_row_once_with_little_padding():
    batches = epoch_batches(_LENGTHS, batch_size=16, seed=1, epoch=0)
    assert sorted(np.concatenate(batches)) == list(range(1003))
    assert [len(batch) for batch in batches].count(16) == 62
    padded = sum(len(batch) * _LENGTHS[batch].max() for batch in batches)
    assert padded < 1.1 * _LENGTHS.sum()  # in random order it would be about 1.8


def test_batches_follow_from_seed_and_epoch():
    def order(*, seed: int, epoch: int) -> list[int]:
        return list(np.concatenate(epoch_batches(_LENGTHS, batch_size=16, seed=seed, epoch=epoch)))

    assert order(seed=1, epoch=0) == order(seed=1, epoch=0)
    assert order(seed=1, epoch=0) != order(seed=1, epoch=1)
    assert order(seed=1, epoch=0) != order(seed=2, epoch=0)


def test_batches_do_not_come_in_the_order_of_their_length():
    means = [_LENGTHS[b].mean() for b in epoch_batches(_LENGTHS, batch_size=16, seed=1, epoch=0)]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.4


def test_scoring_takes_every_row_once_from_short_to_long():
    rows = np.concatenate(list(ordered_batches(_LENGTHS, batch_size=64)))
    assert sorted(rows) == list(range(1003))
    assert (np.diff(_LENGTHS[rows]) >= 0).all()


def _examples(tokens, offsets, labels, weights):
    tokens, weights = np.array(tokens, dtype=np.int32), np.array(weights, dtype=np.float32)
    return Examples(tokens, np.array(offsets), np.array(labels), weights)


def test_rows_are_padded_to_the_longest_and_masked():
    examples = _examples([5, 6, 7, 8, 9, 4], [0, 2, 5, 6], [0, 1, 1], [1.0, 0.5, 2.0])
    batch = collate(examples, np.array([1, 2]), pad=0, device=torch.device("cpu"))
    assert batch.inputs["input_ids"].tolist() == [[7, 8, 9], [4, 0, 0]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert (batch.labels.tolist(), batch.weights.tolist(), batch.tokens) == ([1, 1], [0.5, 2.0], 4)


def test_a_shape_is_filled_up_with_a_row_that_counts_nothing():
    examples = _examples([5, 6, 7], [0, 2, 3], [1, 0], [3.0, 0.5])
    batch = collate(examples, np.array([0, 1]), pad=9, device=torch.device("cpu"), shape=(4, 3))
    assert batch.inputs["input_ids"].tolist() == [[5, 6, 9], [7, 9, 9], [5, 6, 9], [5, 6, 9]]
    assert batch.inputs["attention_mask"].sum(dim=1).tolist() == [2, 1, 2, 2]
    assert (batch.weights.tolist(), batch.tokens) == ([3.0, 0.5, 0.0, 0.0], 3)
    assert examples.weights.tolist() == [3.0, 0.5]
