"""A fine-tuned classifier of Hugging Face, as Compile exports it and as it runs by itself."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSequenceClassification
from transformers.utils.logging import disable_progress_bar


class CompileError(Exception):
    """The model cannot be compiled as asked; the message says why and what to change."""


class PositiveProbability(torch.nn.Module):
    """The classifier with its softmax: (batch, length) ids and mask to (batch,) probabilities.

    Attributes:
        config: the classifier's `config.json`.
    """

    def __init__(self, classifier: torch.nn.Module) -> None:
        """Wraps a classifier with two labels, the positive one last."""
        super().__init__()
        self.classifier = classifier
        self.config: Any = classifier.config

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Returns P(positive), float32."""
        logits = self.classifier(input_ids=input_ids, attention_mask=attention_mask).logits
        return torch.softmax(logits.float(), dim=-1)[:, 1]


def load_classifier(folder: Path) -> PositiveProbability:
    """Loads a Hugging Face folder in float32 with attention written out as plain operators.

    Raises:
        CompileError: if weights are missing (they would be random) or there are not two labels.
    """
    disable_progress_bar()
    with quiet():
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder,
            attn_implementation="eager",
            local_files_only=True,
            output_loading_info=True,
            use_safetensors=True,
        )
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"]))
        raise CompileError(f"model.safetensors lacks {missing}: give the output of Train")
    if model.config.num_labels != 2:
        raise CompileError(f"the model has {model.config.num_labels} labels, expected 2")
    # Not by an argument of from_pretrained: its name differs between the images' transformers.
    return PositiveProbability(model.float()).eval()


def check_lengths(model: PositiveProbability, sequence_lengths: Sequence[int]) -> None:
    """Holds that the model can read the compiled lengths.

    Raises:
        CompileError: naming the longest one, and the model's.
    """
    longest = getattr(model.config, "max_position_embeddings", max(sequence_lengths))
    if max(sequence_lengths) > longest:
        raise CompileError(
            f"compile.sequence_lengths: {max(sequence_lengths)} is over the {longest} tokens that "
            "the model reads"
        )


@contextmanager
def quiet() -> Iterator[None]:
    """Silences the libraries' warnings, which are about their own internals."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
