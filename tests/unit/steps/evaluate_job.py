"""A small Evaluate job whose scores are known."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sashiko.base.files import write_json
from sashiko.base.job_folders import opt_ml
from sashiko.evaluation.evaluation_record import read_decision, read_evaluation
from sashiko.evaluation.gates.verdict import read_verdict
from sashiko.steps import evaluate, score
from tests.e2e.serving.tiny_artifact import OUTCOMES, build_artifact
from tests.e2e.serving.tiny_artifact import WORDS as SCORED

WORDS = ("awful", "bad", "fine", "good")
CURVE = {"step": 1, "epoch": 1, "train_loss": 0.7, "learning_rate": 0.001}
SNAPSHOTS = {"training": "d" * 64, "facets": None}
META = {
    "kind": "time", "labels": ["no", "yes"], "columns": ["tone"], "kinds": {"tone": "text"},
    "splits": {},
    "removed_repeats": {}, "removed_over_limit": 0,
}  # fmt: skip
GATES = [
    {"metric": "auc", "minimum": 0.8, "reason": "worth it"},
    {"metric": "auc", "better_than": "champion", "margin": -0.02, "reason": "not worse"},
]


def lay_out(
    root: Path,
    *,
    threshold=None,
    gates=GATES,
    artifact=None,
    temperature=None,
    dates=None,
    kind="text",
    labels=("no", "yes"),
    number=None,
    **section,
) -> Path:
    """Writes a job's inputs below `root`; the champion is left to the caller.

    Of more than two labels the last two are favourable. `number` is the scale of a number.
    """
    labels = OUTCOMES if number else labels
    inputs = root / "processing" / "input"
    sections = {
        "evaluate": {"bootstrap_replicates": 100, "threshold": threshold or {}} | section,
        "quality": {"gates": gates},
        "train": {},
        "reweighing": {},
        "data": {"sources": [{"kind": "file", "path": "rows.csv"}]},
    }
    for name, value in sections.items():
        write_json(inputs / "config" / f"{name}.json", value)
    for name, rows in (("train", 40), ("validation", 80), ("test", 120)):
        path = inputs / name / "data.parquet"
        write_split(path, name=name, rows=rows, classes=len(labels), number=number)
    write_slices(inputs / "slices" / "data.parquet", desk=["north", "south", "west"] * 40)
    archive = artifact or build_artifact(root / "built", labels=labels, number=number)
    (inputs / "artifact").mkdir()
    (inputs / "artifact" / "model.tar.gz").write_bytes(archive.read_bytes())
    (inputs / "training-output").mkdir()
    with tarfile.open(inputs / "training-output" / "output.tar.gz", "w:gz") as tar:
        add(tar, "metrics.jsonl", CURVE)
        add(tar, "snapshots.json", SNAPSHOTS)
        meta = {"dates": dates, "kinds": {"tone": kind}, "labels": labels}
        meta["first_favourable"] = max(1, len(labels) - 2)
        add(tar, "split.json", META | meta)
        if number:
            add(tar, "number.json", number)
        if temperature:
            add(tar, "temperature.json", temperature)
    champion(root, None)
    return inputs


def run_score(*, hosts: int = 1) -> Path:
    """Runs Score on each instance of a job, and returns its output as Evaluate's input."""
    root = opt_ml()
    names = [f"algo-{number + 1}" for number in range(hosts)]
    for name in names:
        file = root / "config" / "resourceconfig.json"
        write_json(file, {"current_host": name, "hosts": names})
        score.main()
    scores = root / "processing" / "input" / "scores"
    shutil.rmtree(scores, ignore_errors=True)
    (root / "processing" / "output" / "scores").rename(scores)
    return scores


def run_evaluate() -> None:
    """Runs Score and Evaluate."""
    run_score()
    evaluate.main()


def run(root: Path):
    """Runs both, and reads evaluation, decision and verdict."""
    run_evaluate()
    outputs = root / "processing" / "output"
    evaluation = read_evaluation(outputs / "metrics" / "metrics.json")
    decision = read_decision(outputs / "decision" / "decision.json")
    return evaluation, decision, read_verdict(outputs / "verdict")


def evaluated(root: Path, **options):
    """Lays a job out, and runs it."""
    lay_out(root, **options)
    return run(root)


def predictions(root: Path) -> list[dict]:
    return pq.read_table(root / "processing/output/predictions/predictions.parquet").to_pylist()


def add(tar: tarfile.TarFile, name: str, content) -> None:
    """Adds a JSON file."""
    data = json.dumps(content).encode()
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def write_split(path: Path, *, name: str, rows: int, classes: int = 2, number=None) -> None:
    """Writes rows: `awful` and `bad` are mostly positive, in the validation split only `awful`.

    Of more than two classes they are mostly of the last one, every fifth row of class 1, and the
    rest of class 0. A number is the prediction plus an error of -6 to 6 whole units.
    """
    path.parent.mkdir(parents=True)
    texts = [f"{WORDS[n % 4]} {name}{n // 8}" for n in range(rows)]
    positive = 1 if name == "validation" else 2
    labels = [int(n % 4 < positive) ^ int(n % 10 == 0) for n in range(rows)]
    if classes > 2:
        labels = [1 if n % 5 == 0 else (classes - 1) * label for n, label in enumerate(labels)]
    keys = [f"{name}-{n:04}" for n in range(rows)]
    rows_ = [json.dumps({"tone": text}) for text in texts]
    columns = {"key": keys, "text": texts, "label": labels, "row": rows_}
    if number:
        values = [expected_value(text, number) + n * 7 % 13 - 6 for n, text in enumerate(texts)]
        columns |= {"value": values, "label": [int(value > number["above"]) for value in values]}
    pq.write_table(pa.table(columns), path)


def expected_value(text: str, number) -> float:
    """Returns what the artifact of a number must predict of a text."""
    return number["mean"] + number["scale"] * sum(SCORED.get(word, 0.0) for word in text.split())


def write_weights(inputs: Path, *, flipped: float, first: int = 0) -> None:
    """Writes the train rows' weights: `flipped` for those whose label is not their word's, else 1.

    `first` is the number of the first row.
    """
    (inputs / "weights").mkdir(exist_ok=True)
    rows = range(first, first + 40)
    weights = [flipped if n % 10 == 0 else 1.0 for n in rows]
    table = pa.table({"key": [f"train-{n:04}" for n in rows], "weight": weights})
    pq.write_table(table, inputs / "weights" / "weights.parquet")


def write_slices(path: Path, *, first: int = 0, **columns: list[str]) -> None:
    """Writes columns of the test rows, from row number `first` on; the template's are constant."""
    path.parent.mkdir(parents=True, exist_ok=True)
    keys = [f"test-{first + n:04}" for n in range(len(next(iter(columns.values()))))]
    template = {"tone": ["bad"] * len(keys), "note": ["x"] * len(keys)}
    pq.write_table(pa.table({**template, **columns, "key": keys}), path)


def champion(root: Path, record, archive: Path | None = None) -> None:
    """Writes what ResolveChampion found."""
    folder = root / "processing" / "input" / "champion"
    folder.mkdir(exist_ok=True)
    (folder / "champion.json").write_text(json.dumps({"champion": record}))
    if archive:
        (folder / "model.tar.gz").write_bytes(archive.read_bytes())
