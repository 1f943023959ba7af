import gzip
import io
import re
import sys
import tarfile
from types import ModuleType

import pytest

from sashiko.artifact import JSON, RequestRefusedError, open_artifact, unpack
from sashiko.errors import InputError
from sashiko.inspection import inspect_artifact
from tests.serving.tiny_artifact import build_artifact, expected_score


def test_inputs_beyond_one_request_come_back_in_order(tmp_path) -> None:
    texts = [("bad", "good", "awful fine")[n % 3] for n in range(1003)]
    seen = []
    with open_artifact(build_artifact(tmp_path), threshold=0.5) as artifact:
        answers = artifact.predict(texts, on_progress=seen.append)
    assert [answer.score for answer in answers] == pytest.approx(
        [expected_score(text) for text in texts], abs=1e-6
    )
    assert seen == [1000, 1003]


def test_the_threshold_is_the_callers(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SASHIKO_THRESHOLD", "0.1")
    archive = build_artifact(tmp_path)
    with (
        open_artifact(archive, threshold=0.9) as strict,
        open_artifact(archive, threshold=0.5) as mild,
    ):
        assert strict.predict(["bad"])[0].label == "no"
        assert mild.predict(["bad"])[0].label == "yes"


def test_two_artifacts_in_one_process_use_their_own_code(tmp_path, monkeypatch) -> None:
    first = build_artifact(tmp_path / "first")
    build_artifact(tmp_path / "second")
    changed = tmp_path / "second" / "artifact"
    payload = changed / "code" / "payload.py"
    payload.write_text(payload.read_text().replace("MAX_ROWS = 1000", "MAX_ROWS = 1"))
    with tarfile.open(tmp_path / "second.tar.gz", "w:gz") as tar:
        tar.add(changed, arcname=".")
    body = b'{"inputs": ["bad", "good"]}'
    monkeypatch.setitem(sys.modules, "text", ModuleType("text"))
    monkeypatch.delitem(sys.modules, "scorer", raising=False)
    mine = sys.modules["text"]
    with (
        open_artifact(tmp_path / "second.tar.gz", threshold=0.5) as new,
        open_artifact(first, threshold=0.5) as old,
    ):
        assert '"score"' in old.respond(body, content_type=JSON, accept=None)
        with pytest.raises(RequestRefusedError, match="at most 1 are allowed"):
            new.respond(body, content_type=JSON, accept=None)
    assert sys.modules["text"] is mine
    assert "scorer" not in sys.modules


def test_a_refused_input_is_counted_over_all_requests(tmp_path) -> None:
    texts = ["bad"] * 1001 + ["bad " * 9]
    with (
        open_artifact(build_artifact(tmp_path), threshold=0.5) as artifact,
        pytest.raises(RequestRefusedError) as caught,
    ):
        artifact.predict(texts)
    assert caught.value.position == 1001
    assert "11 tokens" in caught.value.reason


def archive_of(path, member: tarfile.TarInfo, content: bytes = b""):
    member.size = len(content)
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(member, io.BytesIO(content))
    return path


def refused(path, says: str) -> None:
    with pytest.raises(InputError, match=says), open_artifact(path, threshold=0.5):
        pass


def test_what_is_no_artifact_is_refused_by_name(tmp_path) -> None:
    path = tmp_path / "model.tar.gz"
    refused(path, r"model\.tar\.gz does not exist")
    path.write_bytes(build_artifact(tmp_path / "a").read_bytes()[:5000])
    refused(path, "cannot be unpacked")
    refused(archive_of(path, tarfile.TarInfo("model.safetensors")), r"no code/inference\.py")


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.parametrize(
    ("info", "says"),
    [
        (member("../evil.py"), "leads out of the folder"),
        (member("a/../../evil.py"), "leads out of the folder"),
        (member("/evil.py"), "leads out of the folder"),
        (member("evil", tarfile.SYMTYPE, "/etc"), "is a link"),
        (member("evil", tarfile.SYMTYPE, "nowhere"), "is a link"),
        (member("evil", tarfile.LNKTYPE, "/etc/passwd"), "is a link"),
        (member("evil", tarfile.LNKTYPE, "serving.json"), "is a link"),
        (member("evil", tarfile.CHRTYPE), "a device"),
        (member("evil", tarfile.BLKTYPE), "a device"),
        (member("evil", tarfile.FIFOTYPE), "a pipe"),
        (member("serving.json"), "stands in it twice"),
        (member("./serving.json"), "stands in it twice"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.name} {value.linkname}",
)
def test_a_member_that_is_no_plain_file_in_the_folder_is_refused(tmp_path, info, says) -> None:
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(member("serving.json"))
        tar.addfile(info)
    folder = tmp_path / "unpacked"
    folder.mkdir()
    for read in (lambda: unpack(path, folder), lambda: inspect_artifact(path, expected={})):
        with pytest.raises(InputError, match=rf"model\.tar\.gz: {re.escape(info.name)}.*{says}"):
            read()
    assert [file.name for file in folder.iterdir()] == ["serving.json"]
    assert not (tmp_path / "evil.py").exists()


def test_an_archive_of_more_than_the_disk_holds_is_refused_before_it_is_unpacked(tmp_path) -> None:
    bomb = member("weights.bin")
    bomb.size = 1 << 60
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(bomb.tobuf(tarfile.GNU_FORMAT) + b"\0" * 4096))
    with pytest.raises(InputError, match=r"weights\.bin does not fit on the disk"):
        unpack(path, tmp_path)
    assert not (tmp_path / "weights.bin").exists()


def test_an_archive_of_very_many_files_is_refused(tmp_path) -> None:
    path = tmp_path / "model.tar.gz"
    many = b"".join(member(str(number)).tobuf() for number in range(10_001))
    path.write_bytes(gzip.compress(many + b"\0" * 1024))
    with pytest.raises(InputError, match="one file more than the 10,000"):
        inspect_artifact(path, expected={})
