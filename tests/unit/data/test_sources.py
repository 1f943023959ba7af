from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_bytes
from sashiko.base.plugin_names import names
from sashiko.data import sources
from sashiko.data.downloads import SourceUnavailable
from sashiko.data.sources import fetch_data, fetch_weights
from sashiko.errors import InputError
from sashiko.settings import recipe_data as settings
from tests.unit import acme

PYPI = settings.PypiSource(kind="pypi", requirement="tiny-pack==1.0", member="tiny_pack/model")
ROWS = settings.PypiSource(kind="pypi", requirement="tiny-pack==1.0", member="tiny_pack/rows.csv")
HUB = settings.HuggingFaceSource(kind="huggingface", repository="someone/model", revision="a" * 40)
FILES = {"config.json": b"{}", "sub/weights.bin": b"1234"}
MODEL = settings.ModelSection(
    name="tiny",
    sources=(HUB, PYPI),
    files={name: sha256_bytes(content) for name, content in FILES.items()},
)


class Network:
    """Stands in for both registries: answers with files by name, and counts the calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.unreachable: set[str] = set()
        self.content = {name.rsplit("/")[-1]: content for name, content in FILES.items()}

    def download(self, source, members, *, scratch: Path) -> None:
        self.calls.append(source.kind)
        if source.kind in self.unreachable:
            raise SourceUnavailable("no route to host")
        for member, path in members.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.content[member.rsplit("/")[-1]])


@pytest.fixture
def network(monkeypatch):
    network = Network()
    network.content["rows.csv"] = b"a,b\n1,2\n"
    monkeypatch.setattr(sources, "download", network.download)
    return network


def _data(*choices: settings.Source, sha256: str | None = None) -> settings.DataSection:
    return settings.DataSection(sources=choices, sha256=sha256)


def test_the_next_source_is_taken_where_one_is_unreachable(tmp_path, network, capsys):
    network.unreachable = {"huggingface"}
    fetch_weights(MODEL, tmp_path / "w")
    assert (tmp_path / "w" / "config.json").read_bytes() == b"{}"
    assert "no route to host" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["change", "remove", "add"])
def test_a_folder_that_is_not_exactly_the_model_is_fetched_again(tmp_path, network, damage):
    folder = tmp_path / "w"
    fetch_weights(MODEL, folder)
    if damage == "change":
        (folder / "config.json").write_bytes(b"{ }")
    elif damage == "remove":
        (folder / "config.json").unlink()
    else:
        (folder / "pickle.bin").write_bytes(b"x")
    fetch_weights(MODEL, folder)
    assert len(network.calls) == 2
    assert (folder / "config.json").read_bytes() == b"{}"
    assert not (folder / "pickle.bin").exists()


def test_every_failing_source_is_named_with_its_reason_and_nothing_is_left(tmp_path, network):
    network.unreachable = {"huggingface"}
    network.content["weights.bin"] = b"tampered"
    with pytest.raises(InputError) as caught:
        fetch_weights(MODEL, tmp_path / "weights" / "abc")
    text = str(caught.value)
    assert "Hugging Face someone/model at aaaaaaaaaaaa: no route to host" in text
    expected, got = MODEL.files["sub/weights.bin"], sha256_bytes(b"tampered")
    assert f"tiny-pack==1.0: weights.bin is another file: expected sha256 {expected}" in (text)
    assert f"got {got}" in text
    assert list((tmp_path / "weights").iterdir()) == []


def test_an_interrupted_download_leaves_nothing_under_the_final_name(
    tmp_path, network, monkeypatch
):
    def interrupted(source, members, *, scratch: Path) -> None:
        path = next(iter(members.values()))
        path.parent.mkdir(parents=True)
        path.write_bytes(b"{}")
        raise KeyboardInterrupt

    monkeypatch.setattr(sources, "download", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch_weights(MODEL, tmp_path / "weights" / "abc")
    assert list((tmp_path / "weights").iterdir()) == []


def test_weights_come_once_and_none_from_out_of_the_models_folder(tmp_path, network):
    model = MODEL.model_copy(update={"files": {"../evil": "0" * 64}})
    with pytest.raises(InputError, match=r"`\.\./evil` leads out"):
        fetch_weights(model, tmp_path / "w")
    assert network.calls == []

    folder = tmp_path / "weights" / "abc"
    fetch_weights(MODEL, folder)
    fetch_weights(MODEL, folder)
    assert network.calls == ["huggingface"]
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == {*FILES}


def test_data_are_downloaded_once_and_damage_is_noticed(tmp_path, network):
    section = _data(ROWS, sha256=sha256_bytes(b"a,b\n1,2\n"))
    path = fetch_data(section, cache=tmp_path)
    assert (path.name, path.read_bytes()) == ("rows.csv", b"a,b\n1,2\n")
    assert fetch_data(section, cache=tmp_path) == path
    assert len(network.calls) == 1
    path.write_bytes(b"a,b\n1,3\n")
    assert fetch_data(section, cache=tmp_path).read_bytes() == b"a,b\n1,2\n"


def test_a_file_source_is_used_in_place_if_it_matches(tmp_path, network):
    path = tmp_path / "mine.csv"
    path.write_bytes(b"mine")
    mine = settings.FileSource(kind="file", path=str(path))
    assert fetch_data(_data(mine), cache=tmp_path / "cache") == path
    pinned = _data(mine, ROWS, sha256=sha256_bytes(b"a,b\n1,2\n"))
    assert fetch_data(pinned, cache=tmp_path / "cache").name == "rows.csv"


def test_a_missing_file_and_an_unknown_generator_are_named_with_the_fix(tmp_path):
    missing = settings.FileSource(kind="file", path=str(tmp_path / "none.csv"))
    with pytest.raises(InputError, match=r"(?s)none\.csv does not exist.*add a source"):
        fetch_data(_data(missing), cache=tmp_path)
    unknown = settings.GeneratorSource(kind="generator", generator="nothing", rows=1)
    with pytest.raises(InputError, match=r"no `nothing` among .*; allowed: complaints"):
        fetch_data(_data(unknown), cache=tmp_path)


def test_generated_rows_are_kept_and_another_seed_makes_another_file(tmp_path):
    def of(seed: int) -> Path:
        name = names("generators")[0]
        return fetch_data(
            _data(settings.GeneratorSource(kind="generator", generator=name, rows=50, seed=seed)),
            cache=tmp_path,
        )

    first = of(1)
    written = first.stat().st_mtime_ns
    assert of(1) == first
    assert first.stat().st_mtime_ns == written
    assert of(2).read_bytes() != first.read_bytes()


@pytest.mark.parametrize("damage", ["a flipped bit", "cut off"])
def test_generated_rows_that_are_damaged_are_made_again(tmp_path, capsys, damage):
    source = settings.GeneratorSource(
        kind="generator", generator=names("generators")[0], rows=50, seed=1
    )
    path = fetch_data(_data(source), cache=tmp_path)
    content = path.read_bytes()
    flipped = bytes([*content[:500], content[500] ^ 1, *content[501:]])
    path.write_bytes(flipped if damage == "a flipped bit" else content[:-20])

    assert fetch_data(_data(source), cache=tmp_path).read_bytes() == content
    assert f"{path} has changed since it was written" in capsys.readouterr().err


def test_the_projects_generator_makes_the_rows_and_again_when_its_package_changes(
    tmp_path, monkeypatch
):
    package = acme.make(tmp_path / "src", monkeypatch)
    source = settings.GeneratorSource(
        kind="generator", generator="acme.invoices:Invoices", rows=4, seed=1
    )
    path = fetch_data(_data(source), cache=tmp_path)
    assert pq.read_table(path)["text"].to_pylist() == ["paid", "late", "paid", "late"]
    assert fetch_data(_data(source), cache=tmp_path) == path
    changed = acme.GENERATOR.replace('"paid"', '"settled"')
    (package / "invoices.py").write_text(changed)
    acme.forget(monkeypatch)
    again = fetch_data(_data(source), cache=tmp_path)
    assert pq.read_table(again)["text"].to_pylist() == ["settled", "late", "settled", "late"]


def test_the_projects_source_gives_data_and_weights_that_are_held_against_their_digests(
    tmp_path, monkeypatch, capsys
):
    acme.make(tmp_path / "src", monkeypatch)
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "rows.csv").write_bytes(b"a\n1\n")
    own = {
        "kind": "own",
        "source": "acme.share:Share",
        "options": {"root": str(tmp_path / "share")},
    }
    digest = sha256_bytes(b"a\n1\n")
    data = _data(settings.OwnSource(member="rows.csv", **own), sha256=digest)
    assert fetch_data(data, cache=tmp_path / "cache").read_bytes() == b"a\n1\n"
    model = settings.ModelSection(name="m", sources=[own], files={"rows.csv": digest})
    fetch_weights(model, tmp_path / "w")
    assert (tmp_path / "w" / "rows.csv").read_bytes() == b"a\n1\n"

    (tmp_path / "share" / "rows.csv").write_bytes(b"a\n2\n")
    other = settings.ModelSection(name="m", sources=[own], files={"rows.csv": "0" * 64})
    with pytest.raises(InputError, match=r"acme\.share:Share, its top: rows\.csv is another"):
        fetch_weights(other, tmp_path / "x")
    (tmp_path / "share" / "rows.csv").unlink()
    with pytest.raises(InputError, match=r"(?s)acme\.share:Share.*`rows\.csv`: .*No such file"):
        fetch_weights(other, tmp_path / "x")
    with pytest.raises(ValueError, match="needs `member`"):
        _data(settings.OwnSource(**own), sha256=digest)
    with pytest.raises(ValueError, match="sha256 is required for a source of kind own"):
        _data(settings.OwnSource(member="rows.csv", **own))


def test_the_weights_of_a_folder_on_this_machine_are_taken_if_they_are_right(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "config.json").write_bytes(b"{}")
    source = settings.FileSource(kind="file", path=str(tmp_path / "mine"))
    model = settings.ModelSection(
        name="m", sources=(source,), files={"config.json": sha256_bytes(b"{}")}
    )
    fetch_weights(model, tmp_path / "w")
    assert (tmp_path / "w" / "config.json").read_bytes() == b"{}"
    (tmp_path / "mine" / "config.json").write_bytes(b"[]")
    fetch_weights(model, tmp_path / "w")  # it is there and right
    with pytest.raises(InputError, match=r"file .*mine: config\.json is another file"):
        fetch_weights(model, tmp_path / "other")
