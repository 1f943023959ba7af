"""Encoders of several families, as small as a test needs, with random weights."""

from pathlib import Path

import torch
import transformers

from tests.unit.training.tiny_job import BAD, GOOD, PLAIN, save_tokenizer, word_tokenizer

_BERT = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
_ROBERTA = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>", "mask": "<mask>"}
_WORDS = (*GOOD, *BAD, *PLAIN)
_SIZES = {
    "vocab_size": len(_BERT) + len(_WORDS), "hidden_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "intermediate_size": 64, "max_position_embeddings": 66,
}  # fmt: skip
# What a family's configuration has beside or in place of the sizes.
FAMILIES = {
    "bert": {},
    "distilbert": {"vocab_size": _SIZES["vocab_size"], "dim": 32, "n_layers": 2, "n_heads": 2,
                   "hidden_dim": 64, "max_position_embeddings": 66},
    "roberta": {"type_vocab_size": 1},
    "electra": {"embedding_size": 16},
    "albert": {"embedding_size": 16},
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"],
                   "position_biased_input": False, "type_vocab_size": 0},
    "modernbert": {"global_attn_every_n_layers": 2, "local_attention": 8, "pad_token_id": 0,
                   "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3},
}  # fmt: skip


def save_encoder(folder: Path, family: str, *, layers: int = 2) -> None:
    """Writes a random encoder with a tokenizer of its family's special tokens."""
    special = _ROBERTA if "roberta" in family else _BERT
    words = [*special.values(), *_WORDS]
    save_tokenizer(word_tokenizer(words, unknown=special["unk"]), special, folder)
    settings = FAMILIES[family] if family == "distilbert" else _SIZES | FAMILIES[family]
    config = transformers.AutoConfig.for_model(family, **settings)
    config.num_hidden_layers = layers
    with torch.random.fork_rng():
        torch.manual_seed(0)
        transformers.AutoModel.from_config(config).save_pretrained(folder)
