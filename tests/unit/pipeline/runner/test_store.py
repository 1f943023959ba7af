import fcntl
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import IO

import pytest

from sashiko.errors import InputError
from sashiko.pipeline.runner.run_lock import interrupt_holder, run_lock
from sashiko.pipeline.runner.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    for key in ("run/train/x.csv", "run/train/sub/y.csv", "run/train2/z.csv", "run/model.tar.gz"):
        path = tmp_path / "b" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(key)
    return Store(tmp_path)


@pytest.mark.parametrize(("uri", "names"), [
    ("s3://b/run/train/", ["sub/y.csv", "x.csv"]),
    ("s3://b/run/train2", ["z.csv"]),
    ("s3://b/run/model.tar.gz", ["model.tar.gz"]),
    ("s3://b/run/model", ["model.tar.gz"]),
    ("s3://b/run/tr", ["train/sub/y.csv", "train/x.csv", "train2/z.csv"]),
])  # fmt: skip
def test_a_prefix_is_a_string(store: Store, uri: str, names: list[str]) -> None:
    assert list(store.files(uri)) == names


def test_a_prefix_that_also_matches_a_sibling_is_refused(store: Store) -> None:
    with pytest.raises(InputError, match=r"also matches `train2/z.csv` beside the folder"):
        store.files("s3://b/run/train")


@pytest.mark.parametrize("uri", ["s3://b/run/none", "s3://b/run/model.tar.gz/", "s3://c/x"])
def test_no_object_is_an_error(store: Store, uri: str) -> None:
    with pytest.raises(InputError, match="no object"):
        store.files(uri)


@pytest.mark.parametrize(
    "uri",
    ["s3://b/../x", "s3://b/a/../../x", "s3://../x", "s3://b/a//x", "s3://b/./x", "s3://b",
     "s3://b/", "/b/x", "https://b/x", "s3://.incoming/x", "s3://b/" + "x" * 256, "s3://b/\0", "s3://b/\ud800"],
)  # fmt: skip
def test_keys_that_climb_out_are_refused(store: Store, uri: str) -> None:
    with pytest.raises(InputError, match=r"not an S3 URI|its key has"):
        store.path(uri)


@pytest.mark.parametrize("key", ["out/passwd", "out", "loop/x"])
def test_a_link_that_leads_out_of_the_store_is_refused(tmp_path: Path, key: str) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/passwd").write_text("root")
    store = Store(tmp_path / "s3")
    (tmp_path / "s3/b").mkdir(parents=True)
    (tmp_path / "s3/b/out").symlink_to(tmp_path / "secret")
    (tmp_path / "s3/b/loop").symlink_to(tmp_path / "s3/b/loop")
    with pytest.raises(InputError, match="leads out of the local store"):
        store.files(f"s3://b/{key}")
    with pytest.raises(InputError, match="leads out of the local store"):
        store.put(f"s3://b/{key}", {"passwd": tmp_path / "secret/passwd"})


def test_a_file_in_a_folder_that_leads_out_of_the_store_is_refused(store: Store, tmp_path: Path):
    inside = tmp_path / "b/run/train/inside.csv"
    inside.symlink_to(tmp_path / "b/run/train/x.csv")
    assert "inside.csv" in store.files("s3://b/run/train/")
    (tmp_path / "b/run/train/outside.csv").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match=r"leads out of the local store: .*outside\.csv"):
        store.files("s3://b/run/train/")


def test_a_store_that_is_a_link_itself_is_one(store: Store, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(tmp_path)
    assert list(Store(tmp_path / "linked").files("s3://b/run/train2")) == ["z.csv"]


def test_put_replaces_the_whole_prefix(store: Store, tmp_path: Path) -> None:
    new = tmp_path / "new.csv"
    new.write_text("new")
    store.put("s3://b/run/train", {"deep/new.csv": new})
    assert list(store.files("s3://b/run/train/")) == ["deep/new.csv"]
    assert not list((tmp_path / ".incoming").iterdir())


def test_a_put_that_fails_changes_nothing(store: Store, tmp_path: Path) -> None:
    good = tmp_path / "good"
    good.write_text("good")
    with pytest.raises(InputError, match="cannot write s3://b/run/train"):
        store.put("s3://b/run/train", {"good": good, "lost": tmp_path / "lost"})
    assert list(store.files("s3://b/run/train/")) == ["sub/y.csv", "x.csv"]
    assert not list((tmp_path / ".incoming").iterdir())


def test_a_file_linked_elsewhere_is_copied(store: Store, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    (tmp_path / "other").hardlink_to(file)
    (tmp_path / "link").symlink_to(file)
    store.put("s3://b/out", {"file": file, "link": tmp_path / "link"})
    file.write_text("changed")
    assert {path.read_text() for path in store.files("s3://b/out").values()} == {"old"}


def test_archives_of_the_same_files_are_the_same_bytes(store: Store, tmp_path: Path) -> None:
    files = store.files("s3://b/run/train/")
    store.put_archive("s3://b/one.tar.gz", files)
    for file in files.values():
        file.touch()
        file.chmod(0o600)
    store.put_archive("s3://b/two.tar.gz", dict(reversed(files.items())))
    one, two = (store.path(f"s3://b/{name}.tar.gz").read_bytes() for name in ("one", "two"))
    assert one == two
    assert one[4:8] == bytes(4)  # gzip's time


# A shell has what it starts in the background ignore SIGINT; the tests may be started so.
WORKS = """
import signal, sys, time
from pathlib import Path
from sashiko.pipeline.runner.run_lock import run_lock
signal.signal(signal.SIGINT, signal.default_int_handler)
with run_lock(Path(sys.argv[1]), "20261125-101500-ab12"):
    print("at work", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKS, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "at work\n"
    yield process
    process.kill()
    process.wait()


def test_the_run_at_work_is_interrupted_and_another_is_left_alone(
    tmp_path: Path, worker: subprocess.Popen[str]
) -> None:
    with pytest.raises(InputError, match=r"run 2025 is not .*; run 20261125-101500-ab12"):
        interrupt_holder(tmp_path, "2025")
    assert worker.poll() is None

    assert interrupt_holder(tmp_path, "20261125") == "20261125-101500-ab12"
    assert worker.wait(timeout=300) == -signal.SIGINT


def test_where_nothing_ever_ran_nothing_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run is at work"):
        interrupt_holder(tmp_path / "home", None)
    assert not (tmp_path / "home").exists()


def test_a_run_that_was_killed_is_not_interrupted_and_what_it_was_writing_is_swept_away(
    tmp_path, worker
):
    for name in ("s3/b/config/.tmp-x", "lake/.tmp-y/data.parquet"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("half")
    worker.kill()
    worker.wait()
    assert (tmp_path / "run.lock").read_text()
    with pytest.raises(InputError, match="no run is at work"):
        interrupt_holder(tmp_path, None)
    with run_lock(tmp_path, "next"):
        assert not list(tmp_path.rglob(".tmp-*"))


def test_a_lock_that_was_removed_while_it_was_opened_is_not_held(tmp_path, monkeypatch):
    """As by `clean`: two runs would each hold a file, and only one of the files is there."""
    home, opened = tmp_path / "home", []

    def flock(handle: IO[str], how: int) -> None:
        if not opened:
            shutil.rmtree(home)
        opened.append(handle)
        fcntl.flock(handle, how)

    monkeypatch.setattr(
        "sashiko.pipeline.runner.run_lock.fcntl", SimpleNamespace(**vars(fcntl) | {"flock": flock})
    )
    with run_lock(home, "first"):
        assert len(opened) == 2
        with pytest.raises(InputError, match="run first"), run_lock(home, "second"):
            pass
