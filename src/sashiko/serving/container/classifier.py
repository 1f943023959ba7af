"""A fine-tuned Hugging Face classifier, which Compile exports or which runs uncompiled."""

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification
from transformers.utils.logging import disable_progress_bar

_WEIGHTS = ".safetensors"


class CompileError(Exception):
    """The model cannot be compiled with these settings; the message names cause and fix."""


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
    """Loads a Hugging Face folder in float32, with attention as plain operators.

    Raises:
        CompileError: if loading it could run code, weights cannot be read or are missing (they
            would be random), or the model does not have two labels.
    """
    refuse_code(folder)
    disable_progress_bar()
    try:
        with quiet():
            model, report = AutoModelForSequenceClassification.from_pretrained(
                folder,
                attn_implementation="eager",
                local_files_only=True,
                output_loading_info=True,
                trust_remote_code=False,
                use_safetensors=True,
            )
    except (OSError, SafetensorError) as error:
        raise CompileError(
            f"the model cannot be loaded: {error}; give the output of Train"
        ) from error
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"]))
        raise CompileError(f"model.safetensors lacks {missing}: give the output of Train")
    if model.config.num_labels != 2:
        raise CompileError(f"the model has {model.config.num_labels} labels, expected 2")
    # The argument of from_pretrained for the type differs between the images' transformers.
    return PositiveProbability(model.float()).eval()


def refuse_code(folder: Path) -> None:
    """Refuses a Hugging Face folder that names code to run, or weights that could be code.

    Where it can, `transformers` ignores both, and then loads a different model.

    Raises:
        CompileError: if there is such a file, with its name and the fix.
    """
    for file in sorted(folder.glob("*.json")):
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise CompileError(f"{file} is not JSON: {error}") from error
        if not isinstance(content, dict):
            continue
        if content.get("auto_map"):
            raise CompileError(
                f"{file} names code of its own (auto_map): code that comes with a model is never "
                "run; choose a model whose architecture transformers has"
            )
        if file.name.endswith(".index.json"):
            for name in content.get("weight_map", {}).values():
                if Path(name).name != name or not name.endswith(_WEIGHTS):
                    raise CompileError(f"{file} names {name}: expected {_WEIGHTS} files beside it")
    if not any(folder.glob(f"*{_WEIGHTS}")):
        raise CompileError(
            f"{folder} has no {_WEIGHTS} file: pickled weights can run code and are refused; "
            "convert them to safetensors or choose another model"
        )


def longest_input(classifier: Any) -> int | None:
    """Returns the largest number of tokens that a classifier reads; None if it has no limit.

    RoBERTa and related models number positions from the padding token's id plus one, so the
    position embeddings up to that id stand for no token.
    """
    limit: int | None = getattr(classifier.config, "max_position_embeddings", None)
    embeddings = getattr(classifier.base_model, "embeddings", None)
    positions = getattr(embeddings, "position_embeddings", None)
    padding = getattr(positions, "padding_idx", None)
    return limit if limit is None or padding is None else limit - padding - 1


def check_lengths(model: PositiveProbability, sequence_lengths: Sequence[int]) -> None:
    """Checks that the model can read the compiled lengths.

    Raises:
        CompileError: if the longest one exceeds the model's limit.
    """
    longest = longest_input(model.classifier)
    if longest is not None and max(sequence_lengths) > longest:
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
