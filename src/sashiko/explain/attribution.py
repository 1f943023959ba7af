"""Attributions of a classifier's score: integrated gradients, or of a causal LM Shapley values.

Source: M. Sundararajan, A. Taly, Q. Yan, Axiomatic Attribution for Deep Networks (ICML 2017). The
attributions are of the log-odds of a favourable class, because gradients of a probability vanish
near 0 and 1. Of a number they are of the predicted value, in its unit. Of a causal LM, words are
removed from the prompt instead: no token stands for "any word" there, and gradients that cost as
much failed the deletion test (decision 12).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats, Ints
from sashiko.explain.explanation_record import Method
from sashiko.explain.tokens import Row
from sashiko.serving.container.number import read_number
from sashiko.serving.container.prompt import read_prompt
from sashiko.training.encoder import load_tokenizer
from sashiko.training.machine import best_device, uses_bf16

if TYPE_CHECKING:
    import torch

_TEXTS_A_PASS = 64  # texts in one forward pass
_ROWS = 16
# Rows times steps in one forward pass, of a model of 6 layers and 384 dimensions. A pass keeps what
# each layer computes for the gradients, so a larger model gets fewer in the same memory.
_PASSES = 64
_LAYERS_TIMES_WIDTH = 6 * 384
_ABSENT = -1  # in the place of a removed token


# Shapley values of a text's words: a causal LM's attributions.
#
# A word is present or absent with all its tokens. The values are sampled by permutations, each with
# its reverse, which is exact for a model with no interactions beyond pairs of words. In each
# permutation the words sum to the whole difference of log-odds.
#
# Sources: E. Strumbelj, I. Kononenko, Explaining prediction models and individual predictions with
# feature contributions (KAIS 2014); R. Mitchell et al., Sampling permutations for Shapley value
# estimation (JMLR 2022).


def shapley_values(
    score: "Callable[[torch.Tensor], torch.Tensor]",
    *,
    ids: "torch.Tensor",
    baseline: "torch.Tensor",
    words: Sequence[Sequence[int]],
    pairs: int,
    generator: np.random.Generator,
) -> Floats:
    """Attributes a text's score to its words, in `pairs * 2 * words + 1` evaluations.

    Args:
        score: of token ids, shape (texts, tokens): one number each.
        ids: of the text, shape (1, tokens).
        baseline: ids of the baseline text, same shape.
        words: positions of each word's tokens; all others are the same in text and baseline.
        pairs: permutations of the words, each with its reverse.
        generator: draws the permutations.

    Returns:
        Contribution of each word to the log-odds, float64, shape (words,).
    """
    import torch
    from captum.attr import ShapleyValueSampling

    owners = torch.zeros_like(ids)
    for number, tokens in enumerate(words):
        owners[0, tokens] = number
    method = ShapleyValueSampling(score)

    def orders(words: int, pairs: int) -> Iterator[list[int]]:
        for _ in range(pairs):
            order = generator.permutation(words).tolist()
            yield order
            yield order[::-1]

    method.permutation_generator = orders
    attributions = method.attribute(
        ids,
        baselines=baseline,
        feature_mask=owners,
        n_samples=pairs,
        perturbations_per_eval=_TEXTS_A_PASS,
    )
    values: Floats = attributions[0, [tokens[0] for tokens in words]].double().cpu().numpy()
    return values


@dataclass(frozen=True)
class RowAttribution:
    """Contribution of each token of a row to the log-odds of a favourable class, or to a number."""

    tokens: Floats  # of each token, shape (tokens,); 0 for the special ones
    score: float  # the log-odds of the row, or its predicted number
    baseline: float  # that of its baseline; the tokens sum to the difference of the two

    @property
    def delta(self) -> float:
        """The convergence delta: the tokens' sum less the difference that they explain."""
        return float(self.tokens.sum()) - (self.score - self.baseline)


class ExplainedModel:
    """A classifier whose predictions are explained.

    Attributes:
        tokenizer: the model's tokenizer.
        method: of the attributions.
        baseline: the token that replaces each word in the baseline; empty where words are removed.
        prompt: of a causal LM, the tokens around each text.
        number: the scale of a number; None if the label has classes.
    """

    def __init__(self, folder: Path, *, first_favourable: int = 1) -> None:
        """Loads the model that Train wrote, in float32: config.json, model.safetensors, tokenizer.

        The classes from `first_favourable` on are favourable.

        Raises:
            InputError: if it cannot be loaded, or has no padding token.
        """
        from sashiko.serving.container import classifier  # imports torch

        self.tokenizer = load_tokenizer(folder)
        self.prompt = read_prompt(folder)
        self.number = read_number(folder)
        try:
            model = classifier.load_classifier(folder).classifier
        except (classifier.CompileError, OSError) as error:
            raise InputError(f"the model cannot be loaded: {error}") from error
        self._model: Any = model.requires_grad_(False).to(best_device())
        config: Any = self._model.config
        self._classes: int = config.num_labels
        self._first = first_favourable
        size = config.num_hidden_layers * config.hidden_size
        self._passes: int = min(_PASSES, max(1, _PASSES * _LAYERS_TIMES_WIDTH // size))
        self.method: Method = "shapley_sampling" if self.prompt else "integrated_gradients"
        # The mask token occurs in pre-training; padding is never attended to.
        tokens = self.tokenizer
        blank = "" if self.prompt else tokens.mask_token or tokens.pad_token
        if blank is None:
            raise InputError("the model's tokenizer has no padding token: batches cannot be padded")
        self.baseline: str = blank
        self._pad_id: int = (
            tokens.eos_token_id if tokens.pad_token_id is None else tokens.pad_token_id
        )

    def attribute(
        self, rows: Sequence[Row], *, steps: int, pairs: int = 1, seed: int = 0
    ) -> tuple[RowAttribution, ...]:
        """Attributes each row's score to its tokens.

        Args:
            rows: the rows.
            steps: Gauss-Legendre points between baseline and text, of integrated gradients.
            pairs: permutations of the words, each with its reverse, of Shapley values.
            seed: of the permutations.
        """
        if self.method == "integrated_gradients":
            return self._integrated_gradients(rows, steps=steps)
        import torch

        generator = np.random.default_rng(seed)
        attributions = []
        for row in rows:
            words = row.word_tokens
            tokens = np.zeros(len(row.ids))
            values = self._shapley(row, generator, pairs=pairs) if words else ()
            for positions, value in zip(words, values, strict=True):
                tokens[positions] = value / len(positions)  # a word's tokens share its value
            texts, _ = self._pad([row.ids, self._baseline_ids(row)])
            with torch.inference_mode():
                score, baseline = self._log_odds_of_present(texts).tolist()
            attributions.append(RowAttribution(tokens=tokens, score=score, baseline=baseline))
        return tuple(attributions)

    def _integrated_gradients(
        self, rows: Sequence[Row], *, steps: int
    ) -> tuple[RowAttribution, ...]:
        import torch
        from captum.attr import LayerIntegratedGradients

        device = self._model.device
        # A third of the time on a CPU with bfloat16. Scores, and so the convergence delta, stay in
        # float32: its median over the shipped encoder's texts is 0.010 instead of
        # 0.008, of 2.1 log-odds.
        gradients_of = torch.autocast(
            device.type, dtype=torch.bfloat16, enabled=uses_bf16("auto", device)
        )(self._log_odds)
        method = LayerIntegratedGradients(gradients_of, self._model.get_input_embeddings())
        attributions: dict[int, RowAttribution] = {}
        for batch in _batches([row.ids for row in rows], min(_ROWS, self._passes)):
            part = [rows[index] for index in batch]
            ids, mask = self._pad([row.ids for row in part])
            baseline_ids, _ = self._pad([self._baseline_ids(row) for row in part])
            gradients = method.attribute(
                ids,
                baselines=baseline_ids,
                additional_forward_args=(mask,),
                n_steps=steps,
                internal_batch_size=self._passes,
            )
            with torch.inference_mode():
                scores, baselines = self._log_odds(ids, mask), self._log_odds(baseline_ids, mask)
            tokens = gradients.sum(-1).double().cpu().numpy()
            for position, index in enumerate(batch):
                attributions[index] = RowAttribution(
                    tokens=tokens[position, : len(part[position].ids)],
                    score=float(scores[position]),
                    baseline=float(baselines[position]),
                )
        return tuple(attributions[index] for index in range(len(rows)))

    def _shapley(self, row: Row, generator: np.random.Generator, *, pairs: int) -> Floats:
        """Attributes a row's score to its words, one at least; shape (words,)."""
        ids, _ = self._pad([row.ids])
        baseline_ids, _ = self._pad([self._baseline_ids(row)])
        return shapley_values(
            self._log_odds_of_present,
            ids=ids,
            baseline=baseline_ids,
            words=row.word_tokens,
            pairs=pairs,
            generator=generator,
        )

    def scores(
        self, texts: Sequence[Ints], *, on_progress: Callable[[int], None] = lambda _: None
    ) -> Floats:
        """Scores token ids, special tokens included.

        Returns:
            The probability of each class, float64, shape (texts, classes); or the predicted number,
            shape (texts, 1).
        """
        import torch

        scores = np.empty((len(texts), self._classes))
        done = 0
        for batch in _batches(texts, self._passes):
            ids, mask = self._pad([texts[index] for index in batch])
            with torch.inference_mode():
                logits = self._logits(ids, mask).double()
                logits = logits if self.number else logits.softmax(dim=1)
                scores[batch] = logits.cpu().numpy()
            done += len(batch)
            on_progress(done)
        return scores

    def _logits(self, ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        """Returns the classes' logits, (texts, classes), or the predicted number, (texts, 1)."""
        logits: torch.Tensor = self._model(input_ids=ids, attention_mask=mask).logits.float()
        return self.number.mean + self.number.scale * logits if self.number else logits

    def _log_odds(self, ids: "torch.Tensor", mask: "torch.Tensor") -> "torch.Tensor":
        logits = self._logits(ids, mask)
        if self.number:
            return logits[:, 0]
        return logits[:, self._first :].logsumexp(dim=1) - logits[:, : self._first].logsumexp(dim=1)

    def _log_odds_of_present(self, ids: "torch.Tensor") -> "torch.Tensor":
        """Scores texts of which tokens are absent; the others move together."""
        import torch

        scores = []
        # In an order of words each text is longer than the one before: parts have little padding.
        for part in torch.split(ids, _ROWS):
            absent = part == _ABSENT
            order = absent.long().argsort(dim=1, stable=True)
            mask = (~absent).long().gather(1, order)
            present = part.gather(1, order).masked_fill(mask == 0, self._pad_id)
            length = int(mask.sum(dim=1).max())
            scores.append(self._log_odds(present[:, :length], mask[:, :length]))
        return torch.cat(scores)

    def _baseline_ids(self, row: Row) -> Ints:
        """Returns the ids of the baseline text; special tokens are kept."""
        blank = self.tokenizer.convert_tokens_to_ids(self.baseline) if self.baseline else _ABSENT
        return np.where(row.pieces_of < 0, row.ids, blank)

    def _pad(self, rows: Sequence[Ints]) -> "tuple[torch.Tensor, torch.Tensor]":
        import torch

        shape = (len(rows), max(len(row) for row in rows))
        ids = np.full(shape, self._pad_id, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        for position, row in enumerate(rows):
            ids[position, : len(row)] = row
            mask[position, : len(row)] = 1
        device = self._model.device
        return torch.from_numpy(ids).to(device), torch.from_numpy(mask).to(device)


def _batches(rows: Sequence[Ints], size: int) -> list[list[int]]:
    """Groups rows of similar length into batches, to reduce padding."""
    order = sorted(range(len(rows)), key=lambda index: (len(rows[index]), index))
    return [order[start : start + size] for start in range(0, len(order), size)]
