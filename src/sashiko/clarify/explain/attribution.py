"""Integrated gradients on the word embeddings of a classifier.

Source: M. Sundararajan, A. Taly, Q. Yan, Axiomatic Attribution for Deep Networks (ICML 2017). What
is explained is the log-odds of the positive label: where a probability is near 0 or 1 it hardly
moves, and its gradients say little.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sashiko.clarify.explain.shapley import shapley_values
from sashiko.clarify.explain.tokens import Row
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.training.machine import best_device
from sashiko.training.model import load_tokenizer

if TYPE_CHECKING:
    import torch

_ROWS = 16
_PASSES = 64  # rows times steps that go through the model at once


@dataclass(frozen=True)
class Attributed:
    """What each token of a row adds to the log-odds of the positive label.

    Attributes:
        tokens: of each token, shape (tokens,); 0 for the special ones.
        score: the log-odds of the row.
        baseline: those of its baseline; the tokens add up to the difference of the two.
    """

    tokens: Floats
    score: float
    baseline: float

    @property
    def delta(self) -> float:
        """How far the tokens are from adding up."""
        return float(self.tokens.sum()) - (self.score - self.baseline)


class Explained:
    """A classifier with two labels, made ready to be explained.

    Attributes:
        tokenizer: its own.
        baseline: the token that stands for nothing said.
    """

    def __init__(self, folder: Path) -> None:
        """Loads the model that Train wrote, in float32.

        Args:
            folder: config.json, model.safetensors and the tokenizer.

        Raises:
            InputError: if it is none, or has neither a mask nor a padding token.
        """
        from sashiko.serving.container.classifier import (  # imports torch
            CompileError,
            load_classifier,
        )

        self.tokenizer = load_tokenizer(folder)
        try:
            model = load_classifier(folder).classifier
        except (CompileError, OSError) as error:
            raise InputError(f"the model cannot be loaded: {error}") from error
        self._model: Any = model.requires_grad_(False).to(best_device())
        # In pre-training a mask stood for any word; padding has never been attended to.
        self.baseline = self.tokenizer.mask_token or self.tokenizer.pad_token
        if self.baseline is None or self.tokenizer.pad_token_id is None:
            raise InputError("the model's tokenizer has no padding token: batches cannot be made")

    def attribute(self, rows: Sequence[Row], *, steps: int) -> tuple[Attributed, ...]:
        """Attributes each row's score to its tokens.

        Args:
            rows: at least one.
            steps: points between baseline and text, by Gauss and Legendre's rule.
        """
        import torch
        from captum.attr import LayerIntegratedGradients

        method = LayerIntegratedGradients(self._log_odds, self._model.get_input_embeddings())
        found: dict[int, Attributed] = {}
        for chosen in _batches([len(row.ids) for row in rows], _ROWS):
            part = [rows[index] for index in chosen]
            ids, mask = self._pad([row.ids for row in part])
            nothing, _ = self._pad([self._blanked(row) for row in part])
            gradients = method.attribute(
                ids,
                baselines=nothing,
                additional_forward_args=(mask,),
                n_steps=steps,
                internal_batch_size=_PASSES,
            )
            with torch.inference_mode():
                scores, baselines = self._log_odds(ids, mask), self._log_odds(nothing, mask)
            tokens = gradients.sum(-1).double().cpu().numpy()
            for at, index in enumerate(chosen):
                found[index] = Attributed(
                    tokens=tokens[at, : len(part[at].ids)],
                    score=float(scores[at]),
                    baseline=float(baselines[at]),
                )
        return tuple(found[index] for index in range(len(rows)))

    def shapley(self, row: Row, *, pairs: int, generator: np.random.Generator) -> Floats:
        """Attributes a row's score to its words by their Shapley values.

        Args:
            row: with at least one word.
            pairs: of an order of the words and its reverse; `pairs * 2 * words` texts are scored.
            generator: draws the orders.

        Returns:
            What each word adds to the log-odds, float64, shape (words,).
        """
        ids, mask = self._pad([row.ids])
        nothing, _ = self._pad([self._blanked(row)])
        return shapley_values(
            lambda texts: self._log_odds(texts, mask.expand_as(texts)),
            ids=ids,
            baseline=nothing,
            words=row.word_tokens,
            pairs=pairs,
            generator=generator,
        )

    def probabilities(
        self, texts: Sequence[Ints], *, on_progress: Callable[[int], None] = lambda _: None
    ) -> Floats:
        """Scores token ids, special tokens included.

        Args:
            texts: the ids of each text.
            on_progress: called with the number of texts scored so far.

        Returns:
            P(positive), float64, shape (texts,).
        """
        import torch

        found = np.empty(len(texts))
        done = 0
        for chosen in _batches([len(ids) for ids in texts], _PASSES):
            ids, mask = self._pad([texts[index] for index in chosen])
            with torch.inference_mode():
                found[chosen] = self._log_odds(ids, mask).double().sigmoid().cpu().numpy()
            done += len(chosen)
            on_progress(done)
        return found

    def _log_odds(self, ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        logits: torch.Tensor = self._model(input_ids=ids, attention_mask=mask).logits.float()
        return logits[:, 1] - logits[:, 0]

    def _blanked(self, row: Row) -> Ints:
        """Returns the ids of a text that says nothing: special tokens are kept."""
        blank = self.tokenizer.convert_tokens_to_ids(self.baseline)
        return np.where(row.pieces_of < 0, row.ids, blank)

    def _pad(self, rows: Sequence[Ints]) -> "tuple[torch.Tensor, torch.Tensor]":
        import torch

        shape = (len(rows), max(len(row) for row in rows))
        ids = np.full(shape, self.tokenizer.pad_token_id, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = row
            mask[at, : len(row)] = 1
        device = self._model.device
        return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


def _batches(lengths: Sequence[int], size: int) -> list[list[int]]:
    """Cuts rows into batches of about the same length, so that little is padded."""
    order = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))
    return [order[start : start + size] for start in range(0, len(order), size)]
