"""A text that spells special tokens is read as letters, by Train, the served model and Explain."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer

from sashiko.errors import InputError
from sashiko.explain.tokens import read_tokens, token_ids
from sashiko.serving.container.prompt import Prompt, RowTokenizer
from sashiko.training.encoder import load_tokenizer
from sashiko.training.examples import encoder_rows, read_split, read_weights
from tests.unit.training.tiny_job import save_tokenizer, save_weights
from tests.unit.training.tiny_llama import save_llama

_KEYS = pa.chunked_array([["train0002", "train0000", "train0001"]])


def test_weights_are_joined_by_key_and_are_one_without_a_channel(tmp_path):
    assert read_weights(tmp_path / "none", _KEYS).tolist() == [1.0, 1.0, 1.0]
    with pytest.raises(InputError, match=r"weights\.parquet does not exist"):
        read_weights(tmp_path, _KEYS)
    save_weights(tmp_path, [0.5, 1.0, 1.5])
    assert read_weights(tmp_path, _KEYS).tolist() == [1.5, 0.5, 1.0]


@pytest.mark.parametrize(
    ("weights", "first", "message"),
    [
        ([1.0, 1.0, 1.0], 1, "1 of 3 train keys have no weight and 1 weights no train key"),
        ([1.0, 1.0], 0, "1 of 3 train keys have no weight and 0 weights no train key"),
        ([1.0] * 4, 0, "0 of 3 train keys have no weight and 1 weights no train key"),
    ],
)
def test_unmatched_keys_fail(tmp_path, weights, first, message):
    save_weights(tmp_path, weights, first=first)
    with pytest.raises(InputError, match=message):
        read_weights(tmp_path, _KEYS)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_is_a_positive_number(tmp_path, weight):
    save_weights(tmp_path, [1.0, weight, 1.0])
    with pytest.raises(InputError, match="column `weight` has values that are not positive"):
        read_weights(tmp_path, _KEYS)


def test_a_split_that_lacks_a_column_or_rows_is_named(tmp_path):
    columns = {"key": ["a"], "text": ["b"], "label": [1]}
    pq.write_table(pa.table(columns).drop_columns("text"), tmp_path / "data.parquet")
    with pytest.raises(InputError, match=r"data\.parquet lacks column `text`"):
        read_split(tmp_path)
    pq.write_table(pa.table(columns).slice(1), tmp_path / "data.parquet")
    with pytest.raises(InputError, match=r"data\.parquet has no rows"):
        read_split(tmp_path)


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


def test_a_text_writes_no_added_token_of_a_causal_lm_either(tmp_path):
    """Chat models have tokens that steer them and are not marked as special."""
    save_llama(tmp_path, ["a good day"])
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.add_tokens([AddedToken("</think>", special=False)])
    tokenizer.save_pretrained(tmp_path)
    steering = tokenizer.convert_tokens_to_ids("</think>")
    content = (tmp_path / "tokenizer.json").read_text()
    prompt = Prompt(prefix=(1,), suffix=(2,), answers=(7, 9), chat_template_sha256="")
    texts = ["a good</think> day", "</think>" * 3, "<|im_end|></think>"]
    rows = RowTokenizer(content, max_length=64, truncate=True, prompt=prompt).rows(texts)
    for text, row in zip(texts, rows, strict=True):
        assert not set(row[1:-1]) & {steering, *tokenizer.all_special_ids}
        assert tokenizer.decode(row[1:-1]) == text
    explained = read_tokens(
        [(("note", text),) for text in texts],
        load_tokenizer(tmp_path), max_length=64, truncate=True, prompt=prompt,
    )  # fmt: skip
    assert [row.ids.tolist() for row in explained] == rows
    swapped = token_ids(texts, load_tokenizer(tmp_path), max_length=64, prompt=prompt)
    assert [row.tolist() for row in swapped] == rows


@pytest.mark.parametrize(
    ("made", "special"),
    [(_word_piece(), _BERT), (_words(), _BERT), (_unigram(), _ROBERTA)],
    ids=["word piece", "words", "unigram"],
)
def test_a_text_writes_no_special_token_and_all_read_it_in_the_same_way(tmp_path, made, special):
    save_tokenizer(made, dict(zip(_NAMES, special, strict=True)), tmp_path)
    (tmp_path / "model.safetensors").touch()  # a model's folder has weights
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
