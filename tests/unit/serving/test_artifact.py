"""An artifact holds plain files alone; a pickle is known by what it is, whatever its name."""

import csv
import gzip
import io
import os
import pickle
import re
import sys
import tarfile
import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from sashiko.base.files import sha256_bytes
from sashiko.errors import InputError
from sashiko.serving.artifact import JSON, Artifact, RequestRefusedError, open_artifact
from sashiko.serving.file_prediction import predict_file
from sashiko.serving.inspection import inspect_artifact, unpack
from sashiko.serving.row_answers import answer_rows
from tests.e2e.serving.tiny_artifact import (
    NUMBER,
    build_artifact,
    expected_score,
    expected_scores,
)
from tests.unit.contract import documents
from verification.fuzz.archives import member, tar_of


@pytest.mark.parametrize("at_once", [1, 2])
def test_inputs_beyond_one_request_come_back_in_order(tmp_path, monkeypatch, at_once):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    texts = [("bad", "good", "awful fine")[n % 3] for n in range(1003)]
    progress = []
    with open_artifact(build_artifact(tmp_path), threshold=0.5, at_once=at_once) as artifact:
        answers = artifact.predict(texts, on_progress=progress.append)
    assert [answer.score for answer in answers] == pytest.approx(
        [expected_score(text) for text in texts], abs=1e-6
    )
    assert progress == [500, 1000, 1003]
    assert os.environ["OMP_NUM_THREADS"] == "2"


def test_many_refused_rows_do_not_have_the_others_read_again_for_each(tmp_path, monkeypatch):
    rows = [{"tone": ("bad", "a b c d e f g h", "")[n % 3], "note": "x"} for n in range(400)]
    sent, predict = [], Artifact.predict
    monkeypatch.setattr(
        Artifact, "predict", lambda self, part: sent.append(len(part)) or predict(self, part)
    )
    with open_artifact(build_artifact(tmp_path), threshold=0.5) as artifact:
        answers = answer_rows(artifact, rows)
    assert [bool(answer.refused) for answer in answers] == [n % 3 == 1 for n in range(400)]
    assert sum(sent) < 12 * len(rows)


def test_the_threshold_is_the_callers(tmp_path, monkeypatch):
    monkeypatch.setenv("SASHIKO_THRESHOLD", "0.1")
    archive = build_artifact(tmp_path)
    with (
        open_artifact(archive, threshold=0.9) as strict,
        open_artifact(archive, threshold=0.5) as mild,
    ):
        assert strict.predict(["bad"])[0].label == "no"
        assert mild.predict(["bad"])[0].label == "yes"


def test_two_artifacts_in_one_process_use_their_own_code(tmp_path, monkeypatch):
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


def test_a_refused_input_is_counted_over_all_requests(tmp_path):
    texts = ["bad"] * 1001 + ["bad " * 9]
    with (
        open_artifact(build_artifact(tmp_path), threshold=0.5) as artifact,
        pytest.raises(RequestRefusedError) as caught,
    ):
        artifact.predict(texts)
    assert caught.value.position == 1001
    assert "11 tokens" in caught.value.reason


def refused(path, says: str) -> None:
    with pytest.raises(InputError, match=says), open_artifact(path, threshold=0.5):
        pass


def test_what_is_no_artifact_is_refused_by_name(tmp_path):
    path = tmp_path / "model.tar.gz"
    refused(path, r"model\.tar\.gz does not exist")
    path.write_bytes(build_artifact(tmp_path / "a").read_bytes()[:5000])
    refused(path, "cannot be unpacked")
    path.write_bytes(gzip.compress(tar_of(member("model.safetensors"))))
    refused(path, r"no code/inference\.py")


def artifact(folder: Path, *members: tuple[tarfile.TarInfo, bytes], end: int = 2) -> Path:
    archive = folder / "model.tar.gz"
    archive.write_bytes(gzip.compress(tar_of(*members, end=end), 1))
    return archive


@pytest.mark.parametrize(
    ("odd", "says"),
    [
        (member("../evil.py"), "is outside the folder"),
        (member("a/../../evil.py"), "is outside the folder"),
        (member("/evil.py"), "is outside the folder"),
        (member("evil", kind=tarfile.SYMTYPE, linkname="/etc"), "is a link"),
        (member("evil", kind=tarfile.LNKTYPE, linkname="/etc/passwd"), "is a link"),
        (member("evil", kind=tarfile.CHRTYPE), "a device"),
        (member("evil", kind=tarfile.FIFOTYPE), "a pipe"),
        (member("evil", kind=b"V"), "of an unknown kind"),
        (member("serving.json"), "occurs twice"),
        (member("./serving.json"), "occurs twice"),
        (member("serving.json", kind=tarfile.DIRTYPE), "occurs twice"),
        (member("serving.json/evil"), "is in a file"),
        (member("e/" * 40 + "vil"), "is in 32 folders or more"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value[0].name[:20]}{value[0].type}",
)
def test_a_member_that_is_no_plain_file_in_the_folder_is_refused(tmp_path, odd, says):
    path = artifact(tmp_path, member("serving.json"), odd)
    folder = tmp_path / "unpacked"
    folder.mkdir()
    name = re.escape(str(odd[0].name).removeprefix("./"))
    for read in (lambda: unpack(path, folder), lambda: inspect_artifact(path, expected={})):
        with pytest.raises(InputError, match=rf"model\.tar\.gz cannot.*: {name}.*{says}"):
            read()
    assert [file.name for file in folder.iterdir()] == ["serving.json"]
    assert not (tmp_path / "evil.py").exists()


def test_an_archive_of_more_than_the_disk_holds_is_refused_before_it_is_unpacked(tmp_path):
    bomb, _ = member("weights.bin")
    bomb.size = 1 << 60
    path = artifact(tmp_path, (bomb, b"\0" * 4096))
    with pytest.raises(InputError, match=r"weights\.bin does not fit on the disk"):
        unpack(path, tmp_path)
    assert not (tmp_path / "weights.bin").exists()


@pytest.mark.parametrize(
    ("name", "number"), [("{}", 10_001), ("e", 10_001), ("{0}/{0}/{0}/{0}/{0}/{0}", 2000)]
)
def test_an_archive_of_very_many_entries_is_refused(tmp_path, name, number):
    folders = [member(name.format(n), kind=tarfile.DIRTYPE) for n in range(number)]
    with pytest.raises(InputError, match="one more than the 10,000"):
        inspect_artifact(artifact(tmp_path, *folders), expected={})


def test_what_was_changed_after_compile_is_named(tmp_path):
    path = artifact(tmp_path, member("a", b"a"), member("b", b"b"))
    right = {"a": sha256_bytes(b"a"), "b": sha256_bytes(b"b")}
    inspect_artifact(path, expected=right)
    for expected, says in (
        ({**right, "c": "0"}, "c is missing"),
        ({"a": right["a"]}, "b is not in the compile lock"),
        ({**right, "b": right["a"]}, "b has sha256 3e23"),
    ):
        with pytest.raises(InputError, match=says):
            inspect_artifact(path, expected=expected)


def saved(*, zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save({"w": torch.zeros(3)}, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def script() -> bytes:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


def zip_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(zipfile.ZipInfo(name), b"")  # of no moment
    return buffer.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        *(pickle.dumps({"a": [1, 2]}, protocol=number) for number in range(2, 6)),
        pickle.dumps(np.zeros(1000)),
        saved(zipped=True),
        saved(zipped=False),
        # It calls, and only then is no pickle: an end of its own it needs not.
        b"\x80\x02cos\nsystem\nX\x02\0\0\0ls\x85R no more",
        b"\x80\0cos\nsystem\n",
        # What `pickletools` does not take apart, and a pickle's reader does.
        b"\x80\x02I0x10\n0cos\nsystem\n",
        b"\x80\x02c\xc3\xa9\nsystem\n",
        b"\x80\x02(ios\nsystem",  # from the fuzzer: the last line needs no end
        # More operations than anything has by chance.
        b"\x80\x02" + b"N0" * 60_000,
        # Zips that Python's own reader does not read, or not in little memory, and others may.
        zip_of("a").replace(b"PK\x01\x02\x14\x03\x14\0", b"PK\x01\x02\x14\x03\x63\0"),
        zip_of("a").replace(b"PK\x01\x02", b"PK\x01\x03"),
        zip_of(*(f"{number:01000}" for number in range(4200))),
        # Its parts lie on two disks.
        zip_of("a")[:-22] + b"PK\x06\x07" + bytes(12) + b"\2\0\0\0" + zip_of("a")[-22:],
        # What tells TorchScript is not where torch looks for it.
        zip_of("archive/data.pkl", "archive/deep/constants.pkl"),
        zip_of("archive/data.pkl", "other/constants.pkl"),
    ],
    ids=lambda content: repr(content[:12]),
)
def test_a_pickle_under_another_name_is_refused(tmp_path, content):
    archive = artifact(tmp_path, member("weights.bin", content))
    with pytest.raises(InputError, match=r"weights\.bin is a pickle"):
        inspect_artifact(archive, expected={"weights.bin": sha256_bytes(content)})


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\x80", b"\x80\x02 weights", b"PK\x03\x04 no zip", script(), b'{"a": 1}',
        b"\x80\x02\0\0\0\0\0\0" + b"{" * 640, zip_of("graph.neff"),
        b"\x80\x04\x8e" + b"\xff" * 8 + b"\0", b"\x80\x02U" + b"\0" * (9 << 20),
        b"\x80\x02V" + b"\0" * (9 << 20),
        b"\x80\x04\x8d\xff\0\0",
    ],
    ids=lambda content: repr(content[:12]),
)  # fmt: skip
def test_what_is_none_is_let_through(tmp_path, content):
    archive = artifact(tmp_path, member("model.neuron", content))
    inspect_artifact(archive, expected={"model.neuron": sha256_bytes(content)})


@pytest.fixture
def archive(tmp_path):
    return build_artifact(tmp_path / "built")


@pytest.fixture
def contract(tmp_path):
    document = documents.document()
    text = {"logicalType": "string", "classification": "none", "description": "A text."}
    documents.table_of(document)["properties"] += [
        {"name": "tone", **text},
        {"name": "note", "physicalName": "the-note", **text},
    ]
    rules = {"trim": True, "null_values": ["", "?"]}
    documents.table_of(document)["customProperties"].append({"property": "ingest", "value": rules})
    return documents.contract_of(document, tmp_path)


def test_a_file_is_read_as_the_contract_says_that_it_is_written(archive, contract, tmp_path):
    written = {"delimiter": ";", "encoding": "windows-1252"}
    ingest = contract.ingest.model_copy(update=written)
    (tmp_path / "raw.csv").write_bytes("tone;the-note\nbad;schön, früh\n".encode("windows-1252"))
    predict_file(
        archive,
        threshold=0.5,
        contract=contract.model_copy(update={"ingest": ingest}),
        path=tmp_path / "raw.csv",
        out=tmp_path / "out.csv",
    )
    [row] = rows_of((tmp_path / "out.csv").read_text())
    assert float(row["score"]) == pytest.approx(expected_score("bad schön, früh"), abs=1e-6)


@pytest.fixture
def score(archive, contract):
    def run(path, out=None, threshold=0.5):
        predict_file(archive, threshold=threshold, contract=contract, path=path, out=out)

    return run


def rows_of(text: str):
    return list(csv.DictReader(text.splitlines()))


def test_a_csv_is_scored_in_its_order_whatever_its_other_columns(score, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('\ufeffnote,id,tone\nx,1,bad\n"fine\nfine",2,good\n,3,bad\n')
    score(path, tmp_path / "out.csv")
    rows = rows_of((tmp_path / "out.csv").read_text())
    assert [row["label"] for row in rows] == ["yes", "no", "yes"]
    expected = [expected_score(text) for text in ("bad x", "good fine fine", "bad unknown")]
    assert [float(row["score"]) for row in rows] == pytest.approx(expected, abs=1e-6)


def test_of_three_classes_each_has_a_column_and_every_name_survives(contract, tmp_path):
    labels = ('Rückgabe, "alt"', "Zürich", "it's")
    archive = build_artifact(tmp_path / "three", labels=labels)
    (tmp_path / "rows.csv").write_text("tone,note\nbad,x\ngood,fine\n")
    predict_file(
        archive, threshold=0.0, contract=contract, path=tmp_path / "rows.csv",
        out=tmp_path / "out.csv",
    )  # fmt: skip
    rows = rows_of((tmp_path / "out.csv").read_text())
    assert [row["label"] for row in rows] == ["it's", 'Rückgabe, "alt"']
    for row, text in zip(rows, ("bad x", "good fine"), strict=True):
        scores = [float(row[f"score {label}"]) for label in labels]
        assert scores == pytest.approx(expected_scores(text, classes=3), abs=1e-6)
    assert rows[0].keys() == {"label", *(f"score {label}" for label in labels), "refused"}
    sure = max(expected_scores("good fine", classes=3)) - 1e-3
    predict_file(
        archive, threshold=sure, contract=contract, path=tmp_path / "rows.csv",
        out=tmp_path / "out.csv",
    )  # fmt: skip
    unsure = rows_of((tmp_path / "out.csv").read_text())
    assert unsure == [
        row | {"label": label} for row, label in zip(rows, ("", labels[0]), strict=True)
    ]


def test_a_number_has_its_value_and_its_interval_in_the_file_and_its_outcome_by_the_bound(
    contract, tmp_path
):
    archive = build_artifact(tmp_path / "number", number=NUMBER)
    (tmp_path / "rows.csv").write_text("tone,note\nbad,x\ngood,x\n")
    predict_file(
        archive, threshold=0.0, contract=contract, path=tmp_path / "rows.csv",
        out=tmp_path / "out.csv",
    )  # fmt: skip
    assert (tmp_path / "out.csv").read_text() == (
        "value,low,high,refused\n6.0,1.5,10.5,\n0.0,-4.5,4.5,\n"
    )
    with open_artifact(archive, threshold=0.5) as artifact:
        bad, good = artifact.predict(["bad", "good"])
    assert (bad.label, bad.value, bad.score, bad.scores) == ("above 0", 6.0, 6.0, (6.0,))
    assert (good.label, good.interval, artifact.half_width) == ("at most 0", (-4.5, 4.5), 4.5)


def test_values_are_cleaned_as_they_were_for_training_and_a_missing_file_is_named(score, tmp_path):
    (tmp_path / "raw.csv").write_text("tone,the-note\n bad , x\ngood,?\n")
    score(tmp_path / "raw.csv", tmp_path / "out.csv")
    rows = rows_of((tmp_path / "out.csv").read_text())
    expected = [expected_score(text) for text in ("bad x", "good unknown")]
    assert [float(row["score"]) for row in rows] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(InputError, match=r"nowhere\.csv does not exist"):
        score(tmp_path / "nowhere.csv")


def test_a_parquet_goes_to_stdout_without_an_out_file(score, tmp_path, capsys):
    table = pa.table({"tone": ["awful", None], "note": ["2026-01-02", None], "other": [1, 2]})
    pq.write_table(table, tmp_path / "rows.parquet")
    score(tmp_path / "rows.parquet", threshold=0.9)
    rows = rows_of(capsys.readouterr().out)
    assert [row["label"] for row in rows] == ["yes", "no"]
    assert not list(tmp_path.glob("*.csv"))


def test_a_refused_row_is_in_the_file_with_its_reason_and_the_others_are_scored(
    score, tmp_path, capsys
):
    long = "bad,a b c d e f g h\n"
    (tmp_path / "a.csv").write_text(f"tone,note\n{long}bad,x\n{long}{long}good,x\n")
    score(tmp_path / "a.csv", tmp_path / "out.csv")
    rows = rows_of((tmp_path / "out.csv").read_text())
    assert [row["label"] for row in rows] == ["", "yes", "", "", "no"]
    assert ["11 tokens" in row["refused"] for row in rows] == [True, False, True, True, False]
    assert [row["score"] == "" for row in rows] == [True, False, True, True, False]
    assert float(rows[1]["score"]) == pytest.approx(expected_score("bad x"), abs=1e-6)
    assert "3 of them are refused" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"tone\nbad\n", "column `note` is missing; needed are `tone`, `note`"),
        ("a.csv", b"tone,note\n", "no rows"),
        ("a.csv", b"tone,note\nbad\n", "Expected 2 columns, got 1"),
        ("a.csv", 'tone,note\nbad,"caf\u00e9"\n'.encode("latin-1"), "not UTF-8"),
        ("a.parquet", b"PAR1", "not a whole Parquet file"),
        ("a.xlsx", b"", r"ends in \.csv or \.parquet"),
    ],
)
def test_a_bad_file_ends_with_one_message_and_no_output(score, tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        score(tmp_path / name, tmp_path / "out" / "scores.csv")
    assert not list((tmp_path / "out").glob("*"))
