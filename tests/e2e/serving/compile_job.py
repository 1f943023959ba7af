"""A small model as Train writes it, and the folders of the job that compiles it."""

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, processors

from sashiko.pipeline.staging import serving_code
from tests.e2e.serving.tiny_artifact import OUTCOMES

Compiled = Callable[..., Path]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
VOCABULARY = {word: index for index, word in enumerate([*SPECIAL, *"abcdefghijklmnopqrstuvwxyz"])}
COMPILE = {
    "target": "cpu", "batch_sizes": [4, 1], "sequence_lengths": [16, 8], "tolerance": 1e-4,
    "quantization": "none", "auto_cast": "none", "dtype": "float32",
}  # fmt: skip
TEXT = {"template": "{first} {second}", "missing": "z", "truncate": False}
TEXTS = ["a", "b c d e f g", "h i j k l m n o p q r s t u", "v w x y z"]


def write_model(folder, labels=("no", "yes"), *, number=None):
    """Writes a small random encoder as Train writes it; with `number`, its scale, of a number."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=32, pad_token_id=0, initializer_range=0.3,
        id2label=dict(enumerate(labels)), label2id={name: n for n, name in enumerate(labels)},
    )  # fmt: skip
    if number:
        config.num_labels, config.problem_type, config.outcomes = 1, "regression", OUTCOMES
        (folder / "number.json").write_text(json.dumps(number))
    BertForSequenceClassification(config).save_pretrained(folder)
    tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordLevel(VOCABULARY, "[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return made


def job(root, model, *, truncate=False, **changes):
    """Lays out a job's inputs."""
    inputs = root / "processing" / "input"
    (inputs / "config").mkdir(parents=True)
    (inputs / "config" / "compile.json").write_text(json.dumps(COMPILE | changes))
    (inputs / "config" / "text.json").write_text(json.dumps(TEXT | {"truncate": truncate}))
    (inputs / "code").mkdir()
    for name, content in serving_code((COMPILE | changes)["target"]).items():
        (inputs / "code" / name).write_bytes(content)
    (inputs / "model").mkdir()
    with tarfile.open(inputs / "model" / "model.tar.gz", "w:gz") as tar:
        tar.add(model, arcname=".")
    return root


def eager_scores(folder, texts=TEXTS):
    """Scores texts with a model of two classes: see `eager_probabilities`."""
    return [second for _, second in eager_probabilities(folder, texts)]


def eager_probabilities(folder, texts=TEXTS):
    """Scores texts, or a number's outputs, by the model itself, one by one and without padding."""
    import torch
    from transformers import AutoModelForSequenceClassification

    eager = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    scores = []
    for text in texts:
        ids = torch.tensor([tokenizer().encode(text).ids])
        with torch.inference_mode():
            logits = eager(ids).logits
            scores.append((logits if logits.shape[1] == 1 else logits.softmax(dim=-1))[0].tolist())
    return scores
