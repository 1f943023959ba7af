"""Archives of anybody's: what tar and Python write is read as they read it, the rest is refused.

Each kind of archive here that is refused made `tarfile` fail, hang or take all memory.
"""

import gzip
import shutil
import subprocess
import tarfile
import tracemalloc
import zlib
from pathlib import Path

import pytest
import tar_reader
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.hostile import bounded
from verification.fuzz.archives import member, tar_of

MIB = 1 << 20
FORMATS = (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)


def written(folder: Path, *members, end: int = 2, kind: int = tarfile.GNU_FORMAT) -> Path:
    archive = folder / "model.tar.gz"
    archive.write_bytes(gzip.compress(tar_of(*members, end=end, kind=kind), 1))
    return archive


def pax(records: bytes, kind: bytes = tarfile.XHDTYPE):
    return member("pax", records, kind=kind)


def refused(archive: Path, says: str) -> None:
    """It is refused with this reason, in little memory, and nothing is left but what came first."""
    folder = archive.parent / "unpacked"
    tracemalloc.start()
    try:
        with pytest.raises(tar_reader.ArchiveError, match=says):
            tar_reader.unpack(archive, folder)
        assert tracemalloc.get_traced_memory()[1] < 8 * MIB
    finally:
        tracemalloc.stop()
    assert [path.name for path in folder.iterdir()] in ([], ["first"])


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


names = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=60).filter(
        lambda part: part not in (".", "..") and len(part.encode()) < 200
    ),
    min_size=1,
    max_size=5,
).map("/".join)


@bounded
@given(
    contents=st.dictionaries(names, st.binary(max_size=1200), min_size=1, max_size=5),
    kind=st.sampled_from(FORMATS[1:]),
)
def test_what_python_writes_is_read_as_it_was(tmp_path_factory, contents, kind):
    paths = [Path(name) for name in contents]
    if any(one in other.parents for one in paths for other in paths):
        return
    folder = tmp_path_factory.mktemp("python")
    archive = written(folder, *(member(*item, mtime=1.5) for item in contents.items()), kind=kind)
    tar_reader.unpack(archive, folder / "unpacked")
    assert files(folder / "unpacked") == contents


@pytest.mark.skipif(shutil.which("tar") is None, reason="tar was not found")
@pytest.mark.parametrize("form", ["ustar", "gnu", "pax", "v7"])
def test_what_tar_writes_is_read_as_it_was(tmp_path, form):
    source = tmp_path / "source"
    deep = source / ("d" * 60) / ("e" * (20 if form == "v7" else 60))
    deep.mkdir(parents=True)
    (source / "model.safetensors").write_bytes(bytes(range(256)) * 5000)
    (source / "empty").touch()
    (source / "é.txt").write_text("é")
    (deep / "config.json").write_text("{}")
    archive = tmp_path / "model.tar.gz"
    subprocess.run(
        ["tar", f"--format={form}", "-czf", archive, "-C", source, "."], check=True, timeout=60
    )
    tar_reader.unpack(archive, tmp_path / "unpacked")
    assert files(tmp_path / "unpacked") == files(source)


def test_modes_owners_and_times_are_not_the_archives(tmp_path):
    odd = member("first", b"x", mode=0o6777, uid=7, mtime=1 << 60)
    tar_reader.unpack(written(tmp_path, odd), tmp_path / "unpacked")
    about = (tmp_path / "unpacked" / "first").stat()
    (tmp_path / "own").touch()
    own = (tmp_path / "own").stat()
    assert (about.st_mode, about.st_uid) == (own.st_mode, own.st_uid)
    assert abs(about.st_mtime - own.st_mtime) < 3600


@pytest.mark.parametrize("kind", [b"x", b"L"])
def test_a_long_header_is_not_taken_into_memory(tmp_path, kind):
    bomb = member("bomb", b"9" * (64 * MIB), kind=kind)
    refused(written(tmp_path, member("first"), bomb, member("a")), "16,384")


@pytest.mark.parametrize("size", [1 << 40, (1 << 63) - 1])
def test_a_header_that_promises_a_long_name_is_not_believed(tmp_path, size):
    promise, _ = member("bomb", kind=b"L")
    promise.size = size
    refused(written(tmp_path, (promise, b"")), "16,384 are read")


@pytest.mark.parametrize("kind", [b"x", b"g", b"L", b"K"])
def test_headers_of_headers_come_to_an_end(tmp_path, kind):
    many = [member("pax", b"", kind=kind)] * 3000
    says = "more than 8 headers" if kind in b"gK" else "in two headers"
    refused(written(tmp_path, member("first"), *many, member("a")), says)


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        ([pax(b"10 path=b\n"), pax(b"10 path=c\n")], "in two headers"),
        ([pax(b"9 size=1\n"), pax(b"9 size=0\n")], "in two headers"),
        ([member("long", b"b\0", kind=b"L"), member("long", b"c\0", kind=b"L")], "in two headers"),
        ([pax(b"10 path=b\n"), member("long", b"c\0", kind=b"L")], "in two headers"),
        ([pax(b"10 path=b\n", kind=b"g")], "all members by one"),
        ([pax(b"9 size=1\n", kind=b"g")], "all members by one"),
    ],
)
def test_what_readers_would_name_otherwise_is_refused(tmp_path, headers, says):
    refused(written(tmp_path, member("first"), *headers, member("a", b"x")), says)


def test_a_comment_on_all_members_is_passed_over(tmp_path):
    archive = written(tmp_path, pax(b"13 comment=x\n", kind=b"g"), member("a", b"1"))
    tar_reader.unpack(archive, tmp_path / "unpacked")
    assert files(tmp_path / "unpacked") == {"a": b"1"}


@pytest.mark.parametrize(
    ("records", "says"),
    [
        (b"9" * 5000 + b" a=b\n", "malformed"),
        (b"9" * 16_000, "malformed"),
        (b"0 path=a\n", "malformed"),
        (b"99 path=a\n", "malformed"),
        (b"9 path=ab\n", "malformed"),
        (b"7 path\n", "malformed"),
        (b"11 size=-1\n", "malformed"),
        (b"13 size=1e30\n", "malformed"),
        (b"28 size=9999999999999999999\n", "63 bits"),
        (b"12 path=a\0b\n", "not a valid file name"),
        (b"310 path=" + b"a" * 300 + b"\n", "not a valid file name"),
        (b"2009 path=" + b"a/" * 999 + b"\n", "not a valid file name"),
        (b"11 path=\xff\n", "malformed"),
        (b"10 path=\xff\n", "not in UTF-8"),
        (b"13 path=../a\n", "is outside the folder"),
        (b"22 GNU.sparse.map=0,1\n", "with holes"),
        (b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n", "with holes"),
    ],
)
def test_a_pax_header_of_another_shape_is_refused(tmp_path, records, says):
    refused(written(tmp_path, member("first"), pax(records), member("a", b"x")), says)


def test_a_header_whose_checksum_is_wrong_is_refused(tmp_path):
    tar = tar_of(member("first"), member("a")).replace(b"a\0\0\0", b"b\0\0\0", 1)
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(tar))
    refused(archive, "checksum is wrong")


def test_what_stands_after_the_end_is_no_hidden_member(tmp_path):
    tar = tar_of(member("first"), end=1) + tar_of(member("hidden.pkl"))
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(gzip.compress(tar))
    refused(archive, "has data after its end")


def test_a_file_with_holes_an_odd_name_or_more_after_the_end_is_refused(tmp_path):
    refused(written(tmp_path, member("a", b"x" * 512, kind=b"S")), "with holes")
    refused(written(tmp_path, member("a\udcff")), "not in UTF-8")
    refused(written(tmp_path, member("first"), end=2 + 64 * MIB // 512), "after its end")


@pytest.mark.parametrize("size", [-1, -(1 << 50), 1 << 64])
def test_a_size_that_no_file_has_is_refused(tmp_path, size):
    odd, _ = member("a")
    odd.size = size
    huge, _ = member("b")
    huge.size = 1 << 45  # which fitted, after a file of less than nothing
    refused(written(tmp_path, (odd, b""), (huge, b"")), "malformed|63 bits")


def test_a_name_says_nothing_but_itself_in_a_message(tmp_path):
    odd = member("\x1b[2J\n" + "x" * 5000, kind=tarfile.SYMTYPE)
    with pytest.raises(tar_reader.ArchiveError) as caught:
        tar_reader.unpack(written(tmp_path, odd), tmp_path / "unpacked")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("at", range(20, 2600, 40))
def test_a_byte_that_changed_on_the_way_is_noticed(tmp_path, at):
    content = bytes(range(256)) * 3
    packed = bytearray(gzip.compress(tar_of(member("a", content), member("b", content)), 0))
    packed[at] ^= 0x10
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(packed)
    with pytest.raises(tar_reader.ArchiveError):
        tar_reader.unpack(archive, tmp_path / "unpacked")


def test_deflate_that_breaks_within_a_file_is_refused(tmp_path):
    noise = b"".join(zlib.crc32(bytes([n % 256])).to_bytes(4, "big") for n in range(20_000))
    archive = written(tmp_path, member("first"), member("a", noise[::-1] + noise))
    packed = bytearray(archive.read_bytes())
    for at in range(len(packed) // 2, len(packed) // 2 + 50):
        packed[at] ^= 0xFF
    archive.write_bytes(packed)
    with pytest.raises(tar_reader.ArchiveError, match="damaged"):
        tar_reader.unpack(archive, tmp_path / "unpacked")


@pytest.mark.parametrize("keep", [5, 18, 200, 1500, 2512])
def test_an_archive_that_was_cut_is_refused(tmp_path, keep):
    tar = tar_of(member("first", b"x" * 2000))
    archive = tmp_path / "model.tar.gz"
    for content, says in (
        (gzip.compress(tar, 0)[:keep], "is damaged"),
        (gzip.compress(tar[:keep], 0), "ends within"),
    ):
        archive.write_bytes(content)
        with pytest.raises(tar_reader.ArchiveError, match=says):
            tar_reader.unpack(archive, tmp_path / says)


@pytest.mark.parametrize("content", [b"", gzip.compress(b"")], ids=["nothing", "an empty stream"])
def test_an_archive_without_even_an_end_is_refused(tmp_path, content):
    archive = tmp_path / "model.tar.gz"
    archive.write_bytes(content)
    with pytest.raises(tar_reader.ArchiveError, match="is empty"):
        tar_reader.unpack(archive, tmp_path / "unpacked")


def test_some_files_are_read_by_their_names(tmp_path):
    archive = written(tmp_path, member("./a", b"1"), member("b", b"22"), member("c/a", b"333"))
    assert tar_reader.read_files(archive, ("a", "c/a", "d"), at_most=3) == {
        "a": b"1",
        "c/a": b"333",
    }
    with pytest.raises(tar_reader.ArchiveError, match="b has more than 1 bytes"):
        tar_reader.read_files(archive, ("b",), at_most=1)
