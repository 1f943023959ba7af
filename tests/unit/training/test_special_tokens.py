"""A text that spells special tokens is read as letters, by Train, the served model and Explain."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from sashiko.clarify.explain.tokens import read_tokens, token_ids
from sashiko.serving.container.prompt import RowTokenizer
from sashiko.training.examples import encoder_rows
from sashiko.training.model import load_tokenizer

_NAMES = ("pad", "unk", "cls", "sep", "mask")
_BERT = [f"[{name.upper()}]" for name in _NAMES]
_ROBERTA = ["<pad>", "<unk>", "<s>", "</s>", "<mask>"]
_LETTERS = [*"[]</>", *"abcdefghijklmnopqrstuvwxyz", *"ABCDEFGHIJKLMNOPQRSTUVWXYZ", "▁"]


def _word_piece() -> Tokenizer:
    words = [*_BERT, *_LETTERS, *(f"##{letter}" for letter in _LETTERS)]
    made = Tokenizer(models.WordPiece({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


def _words() -> Tokenizer:
    """Its vocabulary has the special tokens, and its words may be them."""
    words = [*_BERT, "kind", "desk"]
    made = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return made


def _unigram() -> Tokenizer:
    """Like that of XLM-R and ALBERT: a text's most likely pieces may be special tokens."""
    pieces = [*((word, 0.0) for word in _ROBERTA), *((letter, -5.0) for letter in _LETTERS)]
    made = Tokenizer(models.Unigram(pieces, unk_id=1))
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    return made


def _save(made: Tokenizer, special: list[str], folder: Path) -> None:
    made.post_processor = processors.TemplateProcessing(
        single=f"{special[2]} $A {special[3]}", special_tokens=[(special[2], 2), (special[3], 3)]
    )
    names = {f"{name}_token": token for name, token in zip(_NAMES, special, strict=True)}
    PreTrainedTokenizerFast(tokenizer_object=made, **names).save_pretrained(folder)
    (folder / "model.safetensors").touch()  # a model's folder has weights


@pytest.mark.parametrize(
    ("made", "special"),
    [(_word_piece(), _BERT), (_words(), _BERT), (_unigram(), _ROBERTA)],
    ids=["word piece", "words", "unigram"],
)
def test_a_text_writes_no_special_token_and_all_read_it_in_the_same_way(
    tmp_path: Path, made: Tokenizer, special: list[str]
) -> None:
    _save(made, special, tmp_path)
    pad, _, start, end, mask = range(len(special))
    texts = ["kind desk", *(f"kind {token} desk" for token in special), "".join(special)]
    tokenizer = load_tokenizer(tmp_path)
    rows = encoder_rows(tokenizer, max_length=64, truncate=True)(texts)
    for row in rows:
        assert (row[0], row[-1]) == (start, end)
        assert len(row) > 2
        assert not {pad, start, end, mask} & set(row[1:-1])
    content = (tmp_path / "tokenizer.json").read_text()
    assert RowTokenizer(content, max_length=64, truncate=True).rows(texts) == rows
    explained = read_tokens(
        [(("note", text),) for text in texts], tokenizer, max_length=64, truncate=True
    )
    assert [row.ids.tolist() for row in explained] == rows
    assert [row.content.tolist() for row in explained] == [[*range(1, len(r) - 1)] for r in rows]
    swapped = token_ids(texts, tokenizer, max_length=64, prompt=None)
    assert [row.tolist() for row in swapped] == rows
