"""A training job small enough for a test: a random encoder of 2 layers and 32 dimensions."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sashiko.base.files import write_json
from sashiko.contract.manifest import Snapshots, write_snapshots

Job = Callable[..., Path]
Train = Callable[[Path], None]
HYPERPARAMETERS = {
    "epochs": "2", "batch_size": "8", "learning_rate": "0.01", "warmup_ratio": "0.1",
    "weight_decay": "0.01", "dropout": "0.1", "frozen_layers": "1", "precision": "fp32",
    "checkpoint_every_steps": "4", "seed": "3", "max_length": "32", "truncate": "false",
}  # fmt: skip
TRAINING, FACETS = "d" * 64, "f" * 64  # digests of the snapshots
TRAIN_ROWS = 60  # 8 steps an epoch, the last of them smaller
GOOD = ("kind", "quick", "fair", "clear")
BAD = ("rude", "slow", "wrong", "lost")
PLAIN = ("the", "desk", "letter", "was", "and", "very", "my", "loan")


def save_tokenizer(made: Any, special: Mapping[str, str], folder: Path) -> None:
    """Writes a tokenizer that puts `cls` and `sep` of its special tokens around a text."""
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    start, end = special["cls"], special["sep"]
    ends = [(token, made.token_to_id(token)) for token in (start, end)]
    made.post_processor = TemplateProcessing(single=f"{start} $A {end}", special_tokens=ends)
    names = {f"{name}_token": token for name, token in special.items()}
    PreTrainedTokenizerFast(tokenizer_object=made, **names).save_pretrained(folder)


def word_tokenizer(words: Sequence[str], *, unknown: str) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: index for index, word in enumerate(words)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made


def save_encoder(
    folder: Path, *, words: Sequence[str] = (*GOOD, *BAD, *PLAIN), lowercase: bool = False
) -> None:
    """Writes a random BERT and a word-level tokenizer, as a model folder of the hub has them."""
    import torch
    from tokenizers.normalizers import Lowercase
    from transformers import BertConfig, BertModel

    special = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]"}
    words = (*special.values(), *words)
    made = word_tokenizer(words, unknown="[UNK]")
    if lowercase:
        made.normalizer = Lowercase()
    save_tokenizer(made, special, folder)
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=64,
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)


def save_split(folder: Path, *, rows: int, seed: int, classes: int = 2) -> None:
    """Writes a split whose label hangs on the last word of each text; its value is of the label."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, rows)
    texts = []
    for label in labels:
        plain = list(random.choice(PLAIN, random.integers(3, 20)))
        telling = random.choice((BAD, GOOD, PLAIN)[label])
        texts.append(" ".join([*plain, telling]))
    keys = [f"{folder.name}{index:04}" for index in range(rows)]
    folder.mkdir(parents=True, exist_ok=True)
    values = 100.0 * labels - 50 + random.normal(0, 10, rows)
    table = pa.table({"key": keys, "text": texts, "label": labels, "value": values})
    pq.write_table(table, folder / "data.parquet")


def summary_of(split: Path, *, above: float) -> dict[str, float]:
    """What Prepare says of the numbers of the train split."""
    values = pq.read_table(split / "data.parquet")["value"].to_numpy()
    return {
        "above": above, "mean": values.mean(), "standard_deviation": values.std(),
        "least": values.min(), "most": values.max(),
    }  # fmt: skip


def save_weights(folder: Path, weights: list[float], *, first: int = 0) -> None:
    """Writes the weights channel for `train` keys from number `first` on."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = [f"train{first + index:04}" for index in range(len(weights))]
    pq.write_table(
        pa.table({"key": keys, "weight": pa.array(weights, pa.float64())}),
        folder / "weights.parquet",
    )
    write_snapshots(Snapshots(facets=FACETS), folder)


def save_job(
    root: Path,
    *,
    encoder: Path,
    labels: Sequence[str] = ("bad", "good"),
    rows: int = TRAIN_ROWS,
    is_number: bool = False,
    **hyperparameters: str,
) -> None:
    """Writes all that the Train step reads below `root`, but for the weights channel."""
    channels = root / "input" / "data"
    save_split(channels / "train", rows=rows, seed=1, classes=len(labels))
    save_split(channels / "validation", rows=40, seed=2, classes=len(labels))
    meta = {
        "kind": "time",
        "labels": labels,
        "columns": ["note"],
        "splits": {},
        "removed_repeats": {},
        "removed_over_limit": 0,
        "dates": {"column": "day", "validation_from": "2025-09-01", "test_from": "2025-12-01"},
    }
    if is_number:
        meta["number"] = summary_of(channels / "train", above=0.0)
    write_json(channels / "meta" / "split.json", meta)
    write_snapshots(Snapshots(training=TRAINING), channels / "meta")
    (channels / "model").symlink_to(encoder)
    write_json(
        root / "input" / "config" / "hyperparameters.json", HYPERPARAMETERS | hyperparameters
    )


def metric_lines(root: Path) -> list[dict[str, float | None]]:
    text = (root / "output" / "data" / "metrics.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]
