"""Merges a causal LM's adapter for Compile, and records what was merged."""

import gc
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from adapter import ADAPTER_FILE, AdapterError, base_digests, merge, merge_difference
from answers import ANSWERS_FILE, Answered, read_answered
from classifier import load_classifier
from export import MODEL_FILE
from pack import sha256
from prompt import Prompt, read_prompt

LARGEST_DIFFERENCE = 1e-5  # of a probability, merged against apart, in float32
_SEED = 0
_ROWS = 8
_LONGEST_TEXT = 40  # tokens


@dataclass(frozen=True)
class Merge:
    """What a merged model was made of.

    Attributes:
        base: file name -> SHA-256 of the base model.
        adapter_sha256: of the adapter's matrices.
        merged_sha256: of the merged weights, in float32.
        difference: the largest one of a probability between the merged model and its two parts.
        answered: how often the trained model answers, as Train measured it.
        prompt: what the model reads beside the text.
    """

    base: Mapping[str, str]
    adapter_sha256: str
    merged_sha256: str
    difference: float
    answered: Answered
    prompt: Prompt


def merge_model(source: Path, base: Path, folder: Path) -> Merge:
    """Merges an adapter in float32, and checks that the merged model gives the same scores.

    Args:
        source: the adapter's folder, as Train wrote it.
        base: the folder of the base model.
        folder: where the merged model goes; it does not exist yet.

    Raises:
        AdapterError: if the model does not answer, the adapter was trained on another base model,
            does not fit it, or merging moves a probability by more than `LARGEST_DIFFERENCE`.
    """
    prompt = read_prompt(source)
    if prompt is None:
        raise AdapterError(f"{source} has an adapter and no prompt.json: give the output of Train")
    if not (source / ANSWERS_FILE).is_file():
        raise AdapterError(
            f"{source} has no {ANSWERS_FILE}, which says how often the model answers: an older "
            "engine trained it; run Train again"
        )
    answered = read_answered(source)
    if fault := answered.fault():
        raise AdapterError(fault)
    merge(source, base, folder)
    model = load_classifier(folder)
    generator = np.random.default_rng(_SEED)
    lengths = np.linspace(1, _LONGEST_TEXT, num=_ROWS).astype(int)
    rows = [
        prompt.around(generator.integers(0, model.config.vocab_size, size=length).tolist())
        for length in lengths
    ]
    difference = merge_difference(model, source, base, rows)
    del model
    gc.collect()  # Compile loads the model again; two of them need twice the memory
    # With `not`, so that NaN fails.
    if not difference <= LARGEST_DIFFERENCE:
        raise AdapterError(
            f"merging the adapter moves a probability by {difference:.3g}, more than "
            f"{LARGEST_DIFFERENCE:g}: the merged model would not be the trained one"
        )
    return Merge(
        base=base_digests(source),
        adapter_sha256=sha256(source / ADAPTER_FILE),
        merged_sha256=sha256(folder / MODEL_FILE),
        difference=difference,
        answered=answered,
        prompt=prompt,
    )
