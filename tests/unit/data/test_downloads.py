import zipfile
from pathlib import Path

import huggingface_hub
import pytest

from sashiko.data.downloads import SourceUnavailable, download, is_inside, unpack
from sashiko.settings.recipe_data import HuggingFaceSource, PypiSource

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


def test_a_member_of_a_wheel_is_downloaded_and_the_package_never_imported(tmp_path, index):
    make_wheel(index, {"tiny_pack/data/rows.csv": b"a,b\n"})
    target = tmp_path / "out" / "rows.csv"
    scratch = tmp_path / "scratch"
    download(PYPI, {"tiny_pack/data/rows.csv": target}, scratch=scratch)
    assert target.read_bytes() == b"a,b\n"


def test_a_package_that_pip_cannot_find_is_unusable_with_pips_reason(tmp_path, index):
    with pytest.raises(
        SourceUnavailable, match=r"No matching distribution found for tiny-pack==1\.0"
    ):
        download(PYPI, {"tiny_pack/data/rows.csv": tmp_path / "rows.csv"}, scratch=tmp_path)


def test_a_wheel_without_the_member_or_damaged_is_unusable(tmp_path):
    wheel = make_wheel(tmp_path, {})
    with pytest.raises(SourceUnavailable, match="has no file `nothing`"):
        unpack(wheel, {"nothing": tmp_path / "out"})
    wheel.write_bytes(wheel.read_bytes()[:50])
    with pytest.raises(SourceUnavailable, match="cannot be unpacked"):
        unpack(wheel, {"nothing": tmp_path / "out"})


def test_a_wheel_with_a_path_that_climbs_out_is_refused_whole(tmp_path):
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
