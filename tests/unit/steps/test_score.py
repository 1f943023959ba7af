"""Score: the same bytes on any number of instances."""

import json
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sashiko.base.files import sha256_file, walk_files
from sashiko.errors import InputError
from sashiko.serving import artifact
from sashiko.serving.container.pack import pack
from sashiko.steps import evaluate, scored_splits
from tests.e2e.serving.tiny_artifact import build_artifact
from tests.unit.steps import evaluate_job

# A score depends on the size of its batch, as floats do in their last bits, only more.
_BACKEND = """

class Uneven(OnnxBackend):
    def run(self, bucket, ids, mask):
        return super().run(bucket, ids, mask) * (1 - mask.any(axis=1).sum() / 100)


def open_backend(folder, bundle, machine):
    return Uneven(folder, threads=machine.threads)
"""
_PER_REQUEST = 7  # batches of 4, 1, 1 and 1


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A job whose requests are small, and whose candidate and champion mind their batches."""
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["score"])
    for module in (artifact, scored_splits):
        monkeypatch.setattr(module, "ROWS_PER_REQUEST", _PER_REQUEST)
    archive = uneven(tmp_path / "candidate")
    evaluate_job.lay_out(tmp_path, artifact=archive)
    champion = uneven(tmp_path / "champion", words={"awful": 1.0})
    record = {"version": 3, "sha256": sha256_file(champion), "threshold": 0.5}
    evaluate_job.champion(tmp_path, record, champion)
    return tmp_path


def uneven(folder: Path, **options) -> Path:
    archive = build_artifact(folder, **options)
    with (folder / "artifact" / "code" / "onnx_backend.py").open("a") as file:
        file.write(_BACKEND)
    pack(folder / "artifact", archive)
    return archive


def outputs(root: Path, *, hosts: int) -> dict[str, bytes]:
    """Scores on so many instances, evaluates, and returns what Evaluate writes."""
    evaluate_job.run_score(hosts=hosts)
    folder = root / "processing" / "output"
    shutil.rmtree(folder, ignore_errors=True)
    evaluate.main()
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in walk_files(folder)}


@pytest.mark.parametrize("hosts", [2, 3, 40])
def test_any_number_of_instances_gives_the_bytes_of_one(root: Path, hosts: int) -> None:
    one = outputs(root, hosts=1)
    assert {"predictions/predictions.parquet", "verdict/verdict.json"} <= one.keys()
    assert outputs(root, hosts=hosts) == one


def test_the_instances_share_the_texts_out(root: Path) -> None:
    folder = evaluate_job.run_score(hosts=3)
    for model, texts in (("candidate", 100), ("champion", 60)):  # each text is in two rows
        rows = [pq.read_table(path) for path in sorted(folder.glob(f"{model}-*.parquet"))]
        counts = [table.num_rows for table in rows]
        assert (len(counts), sum(counts)) == (3, texts)
        assert max(counts) - min(counts) <= 2 * _PER_REQUEST
        keys = [key for table in rows for key in table["key"].to_pylist()]
        assert len(set(keys)) == texts


def test_a_part_that_is_missing_is_not_evaluated_around(root: Path) -> None:
    folder = evaluate_job.run_score(hosts=3)
    (folder / "part-00001.json").unlink()
    with pytest.raises(InputError, match=r"parts of 2 instances of 3.*again from Score"):
        evaluate.main()


@pytest.mark.parametrize(
    ("name", "parts"),
    [("artifact", "1"), ("validation", "1"), ("test", "1"), ("champion", "1"), ("artifact", "01")],
)
def test_scores_of_other_rows_or_models_are_not_evaluated(root: Path, name, parts) -> None:
    """Not where all parts agree on them either."""
    folder = evaluate_job.run_score(hosts=2)
    for part in parts:
        file = folder / f"part-0000{part}.json"
        record = json.loads(file.read_text())
        record["inputs"][name] = "0" * 64
        file.write_text(json.dumps(record))
    message = rf"part-0000{parts[0]}\.json is of other rows or models"
    with pytest.raises(InputError, match=message):
        evaluate.main()


def test_parts_that_read_rows_by_other_templates_are_not_evaluated(root: Path) -> None:
    file = evaluate_job.run_score(hosts=2) / "part-00001.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"template": "another"}))
    with pytest.raises(InputError, match=r"part-00001\.json is of other rows or models"):
        evaluate.main()


def test_parts_that_changed_places_are_not_evaluated(root: Path) -> None:
    folder = evaluate_job.run_score(hosts=2)
    first, second = sorted(folder.glob("candidate-*.parquet"))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    with pytest.raises(InputError, match="the candidate's scores are not of these rows"):
        evaluate.main()


def test_an_instance_that_does_not_know_its_name_scores_nothing(root: Path) -> None:
    evaluate_job.run_score()
    (root / "config" / "resourceconfig.json").write_text('{"hosts": ["algo-1"]}')
    with pytest.raises(InputError, match="expected hosts and current_host"):
        evaluate_job.score.main()
