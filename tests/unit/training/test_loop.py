import json
import os
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers

from sashiko.errors import InputError
from sashiko.settings.recipe_train import DistributedSection, Hyperparameters
from sashiko.training.compute import Compute, collate, epoch_batches, ordered_batches
from sashiko.training.examples import Examples
from sashiko.training.loop import learning_rate
from sashiko.training.machine import attention, check_memory, uses_bf16
from sashiko.training.scoring import auc, divide_logits, outputs


def rate(step: int, *, steps: int, warmup_ratio: float) -> float:
    values = {"learning_rate": 0.3, "warmup_ratio": warmup_ratio}
    settings = Hyperparameters(max_length=32, truncate=False, **values)
    return learning_rate(step, steps=steps, settings=settings)


def test_the_rate_goes_up_to_the_peak_if_it_warms_up_and_down_to_nothing():
    rates = [rate(step, steps=100, warmup_ratio=0.1) for step in range(101)]
    assert rates[0] == pytest.approx(0.03)
    assert max(rates) == rates[9] == rates[10] == pytest.approx(0.3)
    assert rates[55] == pytest.approx(0.15)
    assert rates[100] == 0
    assert all(rate > 0 for rate in rates[:100])
    assert rate(0, steps=3, warmup_ratio=0.0) == rate(0, steps=1, warmup_ratio=0.9) == 0.3


_LENGTHS = np.random.default_rng(0).integers(5, 60, 1003)


def test_batches_take_every_row_once_by_seed_and_epoch():
    batches = epoch_batches(_LENGTHS, batch_size=16, seed=1, epoch=0)
    assert sorted(np.concatenate(batches)) == list(range(1003))
    assert [len(batch) for batch in batches].count(16) == 62
    padded = sum(len(batch) * _LENGTHS[batch].max() for batch in batches)
    assert padded < 1.1 * _LENGTHS.sum()  # in random order it would be about 1.8

    def order(*, seed: int, epoch: int) -> list[int]:
        return list(np.concatenate(epoch_batches(_LENGTHS, batch_size=16, seed=seed, epoch=epoch)))

    assert order(seed=1, epoch=0) == order(seed=1, epoch=0)
    assert order(seed=1, epoch=0) != order(seed=1, epoch=1)
    assert order(seed=1, epoch=0) != order(seed=2, epoch=0)
    means = [_LENGTHS[b].mean() for b in epoch_batches(_LENGTHS, batch_size=16, seed=1, epoch=0)]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.4
    rows = np.concatenate(list(ordered_batches(_LENGTHS, batch_size=64)))
    assert sorted(rows) == list(range(1003))
    assert (np.diff(_LENGTHS[rows]) >= 0).all()


def _examples(tokens, offsets, labels, weights):
    tokens, weights = np.array(tokens, dtype=np.int32), np.array(weights, dtype=np.float32)
    return Examples(tokens, np.array(offsets), np.array(labels), weights)


def test_rows_are_padded_masked_and_filled_up_with_what_counts_nothing():
    examples = _examples([5, 6, 7, 8, 9, 4], [0, 2, 5, 6], [0, 1, 1], [1.0, 0.5, 2.0])
    batch = collate(examples, np.array([1, 2]), pad=0, device=torch.device("cpu"))
    assert batch.inputs["input_ids"].tolist() == [[7, 8, 9], [4, 0, 0]]
    assert batch.inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert (batch.labels.tolist(), batch.weights.tolist(), batch.tokens) == ([1, 1], [0.5, 2.0], 4)

    examples = _examples([5, 6, 7], [0, 2, 3], [1, 0], [3.0, 0.5])
    batch = collate(examples, np.array([0, 1]), pad=9, device=torch.device("cpu"), shape=(4, 3))
    assert batch.inputs["input_ids"].tolist() == [[5, 6, 9], [7, 9, 9], [5, 6, 9], [5, 6, 9]]
    assert batch.inputs["attention_mask"].sum(dim=1).tolist() == [2, 1, 2, 2]
    assert (batch.weights.tolist(), batch.tokens) == ([3.0, 0.5, 0.0, 0.0], 3)
    assert examples.weights.tolist() == [3.0, 0.5]


class _FirstToken(torch.nn.Module):
    """Takes a row's first token as the log-odds of the positive class."""

    device = torch.device("cpu")

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        odds = input_ids[:, 0].double()
        return SimpleNamespace(logits=torch.stack([torch.zeros_like(odds), odds], dim=1))


_COMPUTE = Compute(_FirstToken(), _FirstToken())


def _random_examples(count: int) -> Examples:
    random = np.random.default_rng(0)
    lengths = random.integers(1, 9, count)
    return Examples(
        tokens=random.integers(0, 5, lengths.sum()).astype(np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        labels=random.integers(0, 2, count),
        weights=np.full(count, 9.0, dtype=np.float32),
    )


def test_a_split_is_scored_in_its_own_order_and_unweighted():
    examples = _random_examples(150)
    batches: list[int] = []
    scored = outputs(
        _COMPUTE, examples, classes=(0, 1), pad=0, after_batch=lambda: batches.append(1)
    )
    odds = examples.tokens[examples.offsets[:-1]].astype(float)
    signed = np.where(examples.labels == 1, odds, -odds)
    assert scored.losses == pytest.approx(np.log1p(np.exp(-signed)), rel=1e-5)
    higher = odds[examples.labels == 1][:, None] - odds[examples.labels == 0]
    assert auc(examples.labels, scored.logits, first_favourable=1) == pytest.approx(
        (higher > 0).mean() + (higher == 0).mean() / 2
    )
    assert len(batches) == 3


class _Vocabulary(torch.nn.Module):
    """Says a row's tokens: the first is the likeliest of 12, the next ones follow."""

    device = torch.device("cpu")

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        ranks = torch.arange(input_ids.shape[1], 0, -1).double().expand_as(input_ids)
        logits = torch.zeros(len(input_ids), 12).double().scatter(1, input_ids.long(), ranks)
        return SimpleNamespace(logits=logits)


def test_of_several_answers_the_two_likeliest_must_be_among_the_likeliest_tokens():
    """Of seven answers, all cannot be among the five that a service shows."""
    said = [[0, 1, 9, 10, 11, 2], [9, 3, 10, 4, 11, 0], [9, 3, 10, 11, 8, 4], [9, 10, 11, 8, 7, 0]]
    tokens = [token for row in said for token in row]
    examples = _examples(tokens, range(0, 25, 6), [2, 3, 3, 0], [1.0] * 4)
    compute = Compute(_Vocabulary(), _Vocabulary())
    scored = outputs(compute, examples, classes=tuple(range(7)), pad=0)
    assert scored.missed.tolist() == [0, 0, 1, 1]
    assert scored.logits.argmax(axis=1).tolist() == [0, 3, 3, 0]
    odds = np.exp(np.array([0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6]))  # of the first row, in any order
    assert scored.losses[0] == pytest.approx(np.log(odds.sum()) - 1)


def test_what_is_raised_between_batches_ends_the_scoring():
    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        outputs(_COMPUTE, _random_examples(9), classes=(0, 1), pad=0, after_batch=stop)


_SIZE = {"vocab_size": 20, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
         "intermediate_size": 16, "max_position_embeddings": 16}  # fmt: skip
_DISTILLED = {"vocab_size": 20, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16}


def classifier(family, **sizes):
    config = getattr(transformers, f"{family}Config")(**sizes)
    return getattr(transformers, f"{family}ForSequenceClassification")(config)


@pytest.mark.parametrize(
    ("family", "sizes"),
    [("Bert", _SIZE), ("Roberta", _SIZE), ("Electra", {"embedding_size": 16, **_SIZE}),
     ("DistilBert", _DISTILLED)],
)  # fmt: skip
def test_the_logits_are_divided_and_nothing_else_is_changed(family, sizes):
    model = classifier(family, **sizes).eval()
    tokens = torch.arange(12).reshape(2, 6) + 2
    with torch.no_grad():
        before = model(input_ids=tokens).logits
        # Halves of floats are exact: so are the logits.
        divide_logits(model, 2.0)
        assert torch.equal(model(input_ids=tokens).logits, before / 2)
        divide_logits(model, 0.7)
        assert torch.allclose(model(input_ids=tokens).logits, before / 1.4, rtol=1e-5, atol=1e-7)


def test_a_head_that_is_no_single_linear_layer_is_refused():
    model = classifier("Bert", **_SIZE)
    model.classifier = torch.nn.Sequential(torch.nn.Linear(16, 2), torch.nn.Linear(2, 2))
    with pytest.raises(InputError, match=r"train\.calibration.*2 linear layers"):
        divide_logits(model, 2.0)


_CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx512_f": True}, False)],
)
def test_auto_takes_bf16_where_the_cpu_has_it(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert uses_bf16("auto", _CPU) is expected
    assert uses_bf16("fp32", _CPU) is False


def test_bf16_is_refused_where_it_would_only_be_emulated(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    with pytest.raises(InputError, match=r"train\.precision is bf16"):
        uses_bf16("bf16", _CPU)


def _weights(folder: Path, *, billions: int) -> Path:
    """Writes the headers of a model in bfloat16, a billion weights a file; the files are sparse."""
    count = 10**9
    tensor = {"dtype": "BF16", "shape": [count // 1000, 1000], "data_offsets": [0, 2 * count]}
    for number in range(billions):
        header = json.dumps({f"weight.{number}": tensor}).encode()
        file = folder / f"model-{number}.safetensors"
        file.write_bytes(len(header).to_bytes(8, "little") + header)
        os.truncate(file, 8 + len(header) + 2 * count)
    return folder


_NEED_FSDP = r"the model takes 32\.0 GB in float32, and this GPU has 24\.0 GB: .* to fsdp"


@pytest.mark.parametrize(
    ("billions", "section", "device", "message"),
    [
        # An ml.p5.48xlarge has 2 TiB; an L4, as in an ml.g6.12xlarge, 24 GB.
        (70, {"strategy": "fsdp", "processes": 8}, "cuda", r"2,240\.0 GB of the host's 2,199"),
        (8, {"strategy": "ddp", "processes": 4}, "cuda", _NEED_FSDP),
        (8, {}, "cuda", _NEED_FSDP),
        (8, {"strategy": "fsdp", "processes": 4}, "cuda", None),
        (5, {"strategy": "ddp", "processes": 4}, "cuda", None),
        (8, {}, "cpu", None),
    ],
)
def test_a_model_that_does_not_fit_is_refused_before_it_is_loaded(
    tmp_path, *, billions, section, device, message
):
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**41 // 4096}
    properties = SimpleNamespace(total_memory=24 * 10**9)
    refusal = pytest.raises(InputError, match=message) if message else nullcontext()
    folder = _weights(tmp_path, billions=billions)
    with pytest.MonkeyPatch.context() as patch, refusal:
        patch.setattr(os, "sysconf", pages.__getitem__)
        patch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
        check_memory(folder, DistributedSection.model_validate(section), torch.device(device))


def test_long_sequences_do_not_use_the_attention_whose_memory_grows_with_the_square():
    assert attention(_CPU, max_length=64) == "eager"
    assert attention(_CPU, max_length=512) is None
