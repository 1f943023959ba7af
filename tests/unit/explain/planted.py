"""A tiny model whose truth is known: one word of the note decides, and nothing else does."""

import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from tests.unit.contract.documents import custom, document, number

TELLING = "bankrupt"
PLAIN = ("the", "desk", "letter", "was", "and", "very", "my", "branch")
TITLES = ("loan", "card")
TEMPLATE = "about {title}: {note}"
NUMBER = {"mean": 15.0, "scale": 15.0, "half_width": 3.0, "coverage": 0.9, "above": 10.0}
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
_WORDS = (*_SPECIAL, *PLAIN, *TITLES, "about", "bank", "##rupt", ":", ".", "cafe", "##s")


def notes(rows: int, *, seed: int) -> tuple[list[str], list[int]]:
    """Notes of plain words, in half of which the telling one stands somewhere."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, rows).tolist()
    texts = []
    for label in labels:
        words = random.choice(PLAIN, random.integers(5, 9)).tolist()
        if label:
            words[int(random.integers(0, len(words)))] = TELLING
        texts.append(" ".join(words))
    return texts, labels


def save_model(folder: Path, *, is_number: bool = False) -> None:
    """Trains a BERT of one layer and 16 dimensions in a second, and saves it with its tokenizer.

    With `is_number` its one output says -1 or 1, the number 0 or 30.
    """
    import torch
    from torch.nn.functional import cross_entropy, mse_loss
    from transformers import BertConfig, BertForSequenceClassification

    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(_WORDS), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        **({"num_labels": 1, "problem_type": "regression"} if is_number else {}),
    )  # fmt: skip
    texts, labels = notes(256, seed=1)
    titles = [TITLES[at % 2] for at in range(len(texts))]
    read = tokenizer(
        [f"about {title}: {text}" for title, text in zip(titles, texts, strict=True)],
        padding=True, return_tensors="pt",
    )  # fmt: skip
    truth = torch.tensor(labels)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertForSequenceClassification(config)
        optimiser = torch.optim.AdamW(model.parameters(), lr=0.01)
        for _ in range(15):
            optimiser.zero_grad()
            inputs = {name: read[name] for name in ("input_ids", "attention_mask")}
            logits = model(**inputs).logits
            if is_number:
                mse_loss(logits[:, 0], 2.0 * truth - 1).backward()
            else:
                cross_entropy(logits, truth).backward()
            optimiser.step()
    model.save_pretrained(folder)
    if is_number:
        (folder / "number.json").write_text(json.dumps(NUMBER))


def make_tokenizer():
    """A word-piece tokenizer that knows these words, in small letters and without accents."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(_WORDS)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {f"{name[1:-1].lower()}_token": name for name in _SPECIAL}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def lay_out(
    root: Path,
    model: Path,
    *,
    length: int = 32,
    depth: str = "default",
    is_number: bool = False,
) -> Path:
    """Writes a job's inputs: 60 test rows, of which the last six carry the wrong label.

    Of a number, each row's value lies a little beside 0 or 30.
    """
    inputs = root / "processing" / "input"
    texts, predicted = notes(60, seed=2)
    labels = [*predicted[:54], *(1 - one for one in predicted[54:])]
    keys = [f"L{at:03}" for at in range(60)]
    titles = [TITLES[at % 2] for at in range(60)]
    whole = [f"about {title}: {text}" for title, text in zip(titles, texts, strict=True)]

    contract = number(above=NUMBER["above"]) if is_number else document()
    contract["schema"][0]["properties"].append(
        {"name": "note", "description": "A note.", "logicalType": "string",
         "classification": "none"}
    )  # fmt: skip
    custom(contract, "facets")["value"][0]["words"] = [["desk", TELLING]]
    custom(contract, "textColumns")["value"] = ["title", "note"]
    config = inputs / "config"
    config.mkdir(parents=True)
    (config / "contract.odcs.yaml").write_text(yaml.safe_dump(contract))
    text = {"template": TEMPLATE, "truncate": True}
    compiled = {"sequence_lengths": [length]}
    for name, section in (("text", text), ("compile", compiled), ("explain", {"depth": depth})):
        (config / f"{name}.json").write_text(json.dumps(section))

    write(inputs / "data", {"loan_id": keys, "title": titles, "note": texts})
    write(inputs / "test", {"key": keys, "text": whole, "label": labels})
    scores = scored(model, whole, length=length)
    columns = {"key": keys, "split": ["test"] * 60, "label": labels, "score": scores}
    columns["predicted"] = [int(score >= 0.5) for score in scores]
    if is_number:
        columns["predicted"] = [int(score > NUMBER["above"]) for score in scores]
        columns["value"] = [30 * label + 0.01 * at for at, label in enumerate(labels)]
    write(inputs / "predictions", columns, name="predictions")
    (inputs / "model").mkdir()
    with tarfile.open(inputs / "model" / "model.tar.gz", "w:gz") as tar:
        for file in sorted(model.iterdir()):
            tar.add(file, file.name)
    return inputs


def write(folder: Path, columns: dict[str, list], *, name: str = "data") -> None:
    """Writes a Parquet file."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), folder / f"{name}.parquet")


def scored(model: Path, texts: Sequence[str], *, length: int = 32) -> list[float]:
    """What the model says, by itself: P(positive), or the number."""
    import torch
    from transformers import AutoModelForSequenceClassification

    read = make_tokenizer()(
        list(texts), padding=True, truncation=True, max_length=length, return_tensors="pt"
    )
    classifier = AutoModelForSequenceClassification.from_pretrained(model).eval()
    with torch.inference_mode():
        logits = classifier(**{k: read[k] for k in ("input_ids", "attention_mask")}).logits
    if classifier.config.num_labels == 1:
        return (15 + 15 * logits[:, 0].double()).tolist()
    return logits.double().softmax(-1)[:, 1].tolist()
