"""A run is killed, stopped, and comes through; and what the run after it does again."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.e2e.project import (
    GROUP,
    ROOT,
    RUN,
    STRICT,
    Attempt,
    Project,
    Story,
    finish,
    wait_for,
    write_csv,
)

ALWAYS = {"Snapshot", "SnapshotFacets", "ResolveChampion", "Track", "DeviceCheck", "Register"}
GATES = ("DataGate", "ModelGate", "DeviceGate")
BEFORE_TRAINING = {"Validate", "ValidateFacets", "Prepare", "Weights"}  # PreBias is beside it


def ran(project: Project, run: str = "") -> set[str]:
    """Names the jobs of a run, of the newest by default, that were not taken from the cache."""
    statuses = project.statuses(run)
    assert {statuses[gate] for gate in GATES} == {"succeeded"}
    jobs = {name: status for name, status in statuses.items() if name not in GATES}
    assert set(jobs.values()) <= {"succeeded", "cached"}
    return {name for name, status in jobs.items() if status == "succeeded"}


def test_ctrl_c_in_the_middle_of_the_training_ends_the_run(story: Story) -> None:
    assert story.stopped.returncode == 130
    run = story.runs[0]
    assert f"interrupted: run {run}" in story.stopped.stdout
    assert "the same command continues where it stopped" in story.stopped.stderr
    assert "Traceback" not in story.stopped.stderr
    record = story.project.run_record(run)
    assert (record["status"], record["reason"]) == ("interrupted", "stopped on request")
    assert story.project.statuses(run)["Train"] == "interrupted"


def test_nothing_half_written_is_left_and_no_process(story: Story) -> None:
    assert story.left == []


def test_the_next_run_takes_what_was_done_and_resumes_the_training(story, registered):
    first, second = (registered.statuses(run) for run in story.runs)
    ended = {name for name, status in first.items() if status == "succeeded"}
    done = ended - ALWAYS - set(GATES)
    assert done >= BEFORE_TRAINING
    assert {second[name] for name in done} == {"cached"}
    log = registered.home / "runs" / story.runs[1] / "logs/Train.log"
    assert "resuming after step" in log.read_text()
    assert not list(registered.home.glob("s3/*/checkpoints/**/*.safetensors"))


def test_a_run_registers_a_version_and_says_what_to_do_next(registered: Project, story: Story):
    out = story.registered.stdout
    run = story.runs[-1]
    assert f"registered: run {run}\n" in out
    assert f"{GROUP} version 1, PendingManualApproval" in out
    assert out.endswith(
        "waits for your decision: read the report, then run one of\n"
        "  sashiko model approve 1 --recipe tiny --reason '...'\n"
        "  sashiko model reject 1 --recipe tiny --reason '...'\n"
    )
    assert f"report: .sashiko/runs/{run}/report.html" in out
    assert "Traceback" not in story.registered.stderr
    assert registered.run_record(run)["status"] == "registered"


def test_a_run_leaves_its_evidence(registered: Project, story: Story) -> None:
    run = story.runs[-1]
    folder = registered.home / "runs" / run
    assert (folder / "report.html").read_text().startswith("<!DOCTYPE html>")
    contract = (registered.root / "contracts/tiny.odcs.yaml").read_bytes()
    assert (folder / "evidence/contract.odcs.yaml").read_bytes() == contract
    assert "model_package_group: tiny-triage" in (folder / "evidence/recipe.yaml").read_text()
    assert json.loads((folder / "evidence/source.json").read_text())["git_sha"]
    for step in ("Validate", "ValidateFacets", "Evaluate", "JudgeBias", "DeviceCheck"):
        verdict = registered.output(step, "verdict", run=run) / "verdict.json"
        assert json.loads(verdict.read_text())["passed"] is True
    assert (folder / "logs/Register.log").is_file()
    assert not (folder / "work").exists()


def test_a_run_explains_its_model_and_keeps_what_stands_in_rows_apart(registered, story):
    run = story.runs[-1]
    folder = registered.output("Explain", "explanations", run=run)
    explanations = json.loads((folder / "explanations.json").read_text())
    assert {column["name"] for column in explanations["columns"]} == {
        "product", "complaint_text", "(template)"
    }  # fmt: skip
    assert explanations["baseline"] == "[PAD]"  # this tokenizer has no mask
    assert explanations["largest_difference"] < 0.001
    texts = registered.output("Explain", "texts", run=run)
    errors = [json.loads(line) for line in (texts / "errors.jsonl").read_text().splitlines()]
    assert errors
    page = registered.home / "runs" / run / "report.html"
    rows = [f"Row {error['key']}: predicted " for error in errors]
    words = [text for error in errors for text in error["texts"] if len(text) > 30]
    assert not any(text in page.read_text() for text in (*rows, *words))
    without = page.read_bytes()
    assert registered.call("runs", "report", run, "--with-rows").returncode == 0
    assert all(row in page.read_text() for row in rows)
    page.write_bytes(without)
    [version] = json.loads(registered.call("model", "list", "--recipe", "tiny", "--json").stdout)
    assert not any(error["key"] in json.dumps(version) for error in errors)


def test_the_registry_holds_one_version_with_its_gates(registered: Project, story: Story) -> None:
    listed = registered.call("model", "list", "--recipe", "tiny", "--json")
    [version] = json.loads(listed.stdout)
    assert (version["group"], version["version"]) == (GROUP, 1)
    assert (version["status"], version["aliases"]) == ("PendingManualApproval", ["candidate"])
    assert {key: value for key, value in version["tags"].items() if key.startswith("gate.")} == {
        f"gate.{name}": "passed"
        for name in ("data-quality", "data-quality-facets", "model-quality", "bias", "device")
    }


def test_a_second_run_at_the_same_time_is_refused_with_the_first_ones_process(registered, story):
    for name, attempt in story.refused.items():
        assert (attempt.returncode, attempt.stdout) == (1, ""), name
        [line] = attempt.stderr.splitlines()
        assert f"run {story.runs[-1]} (process {story.pid}) is at work here" in line
        assert f"kill {story.pid}" in line


def test_an_unchanged_run_does_nothing_twice(registered: Project, unchanged: Attempt, story: Story):
    assert unchanged.returncode == 0, unchanged.stderr
    run = json.loads(unchanged.stdout)["id"]
    assert json.loads(unchanged.stdout) == registered.run_record(run)
    assert ran(registered, run) == ALWAYS
    assert f"Train: cached, from run {story.runs[-1]}" in unchanged.stderr
    registration = registered.output("Register", "registration", run=run) / "registration.json"
    assert json.loads(registration.read_text())["new"] is False


@pytest.mark.slow
def test_a_gate_that_fails_blocks_names_its_check_and_trains_nothing(registered, unchanged):
    """Uses the newest run's results; test_refused.py blocks the first run of a project."""
    blocked = registered.sashiko(*RUN, "--set", STRICT)
    assert blocked.returncode == 3, blocked.stderr
    statuses = registered.statuses()
    assert (statuses["Train"], statuses["Evaluate"]) == ("cached", "cached")
    assert (statuses["JudgeBias"], statuses["ModelGate"]) == ("succeeded", "blocked")
    assert statuses["Register"] == "not_run"
    assert registered.versions() == [1]
    for text in ("DI customer_gender=female", "a strict rule", "raise `reweighing.strength`"):
        assert text in blocked.stdout
    page = registered.home / "runs" / registered.runs()[-1] / "report.html"
    assert "Disparate impact (DI): customer_gender=female" in page.read_text()


def test_runs_are_listed_and_shown(registered: Project, unchanged: Attempt, story: Story) -> None:
    newest = json.loads(unchanged.stdout)
    listed = json.loads(registered.call("runs", "list", "--json").stdout)
    assert [item["id"] for item in listed] == registered.runs()[::-1]
    assert newest in listed
    assert f"{newest['id']}  registered" in registered.call("runs", "list").stdout
    assert json.loads(registered.call("runs", "show", newest["id"], "--json").stdout) == newest
    shown = registered.call("runs", "show", story.runs[-1]).stdout
    assert "  Train            succeeded" in shown


def test_a_cached_step_has_the_log_of_the_run_that_did_the_work(registered, unchanged):
    done = registered.call("runs", "logs", "Train")
    assert done.returncode == 0
    assert "rows on cpu" in done.stdout


def test_a_report_can_be_written_again(registered: Project, story: Story) -> None:
    report = registered.home / "runs" / story.runs[-1] / "report.html"
    before = report.read_bytes()
    report.unlink()
    done = registered.call("runs", "report", story.runs[-1])
    assert done.stdout == f".sashiko/runs/{story.runs[-1]}/report.html\n", done.stderr
    assert report.read_bytes() == before


@pytest.mark.slow
def test_a_changed_description_in_the_contract_runs_what_takes_the_contract(registered, unchanged):
    path = registered.root / "contracts/tiny.odcs.yaml"
    before = path.read_text()
    path.write_text(before.replace("What the customer wrote.", "The customer's own words."))
    try:
        done = registered.sashiko(*RUN, "--from", "PostBias")
    finally:
        path.write_text(before)
    assert done.returncode == 0, done.stderr
    # The same rows come out of these, so that nothing is trained again.
    takes_it = {"Validate", "ValidateFacets", "Prepare", "Weights", "BiasInput", "JudgeBias"}
    assert ran(registered) == ALWAYS | takes_it | {"Explain", "PostBias"}  # the step of `--from`
    assert registered.versions() == [1, 2]  # the same model, under another contract


def test_an_approved_version_scores_a_file(registered: Project, rows: Path, tmp_path: Path) -> None:
    some = pq.read_table(rows, columns=["product", "complaint_text"]).slice(0, 5).to_pylist()
    file = write_csv(tmp_path / "new.csv", some)
    refused = registered.call("predict", file, "--recipe", "tiny")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert f"{GROUP} has no champion yet" in refused.stderr

    approved = registered.sashiko(
        "model", "approve", "1", "--recipe", "tiny", "--by", "Ada", "--reason", "looks right"
    )
    assert approved.stdout == f"{GROUP} 1: Approved by Ada: looks right\n", approved.stderr
    scored = registered.call("predict", file, "--recipe", "tiny")
    assert scored.returncode == 0, scored.stderr
    answers = list(csv.DictReader(scored.stdout.splitlines()))
    assert len(answers) == len(some)
    assert {answer["label"] for answer in answers} <= {"yes", "no"}
    assert all(0 < float(answer["score"]) < 1 for answer in answers)


@pytest.mark.slow
def test_the_notebook_reads_the_newest_run(registered: Project, tmp_path: Path) -> None:
    notebook = registered.root / "notebooks/explore_run.ipynb"
    notebook.parent.mkdir()
    shutil.copy(ROOT / "notebooks" / notebook.name, notebook)
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "execute", "--inplace", str(notebook)],
        env=os.environ | {"IPYTHONDIR": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cells = json.loads(notebook.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    streams = ["".join(output["text"]) for output in outputs if output["output_type"] == "stream"]
    assert streams[0].startswith(f"{registered.runs()[-1]}  registered")
    assert [output for output in outputs if output.get("name") == "stderr"] == []
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 4
    tables = "".join("".join(output.get("data", {}).get("text/plain", "")) for output in outputs)
    assert "DI customer_gender=female" in tables
    assert "tfidf_logistic_regression" in tables


@pytest.mark.slow
def test_a_training_that_was_stopped_ends_with_the_same_bytes(story, registered):
    """The training is run once more without a break; what follows is not of interest."""
    with registered.running(*RUN, "--from", "Train") as process:
        wait_for(
            lambda: (
                registered.runs()[-1] != story.runs[-1]
                and registered.statuses().get("Train") == "succeeded"
            ),
            process,
            "the end of the training",
        )
        process.send_signal(signal.SIGINT)
        assert finish(process).returncode == 130
    log = registered.home / "runs" / registered.runs()[-1] / "logs/Train.log"
    assert "resuming" not in log.read_text()
    unbroken = registered.step("Train")["outputs"]
    assert (
        unbroken["model"]["sha256"]
        == (registered.step("Train", run=story.runs[1])["outputs"]["model"]["sha256"])
    )


@pytest.mark.slow  # .ci/default_run verifies a run of `complaints`
def test_a_run_verifies_and_a_changed_score_is_reported(registered: Project, story: Story) -> None:
    """The last check of the file changes the store, and puts it back."""
    verified = registered.call("runs", "verify", story.runs[-1])
    assert verified.returncode == 0, verified.stdout + verified.stderr
    for step in ("Validate", "ValidateFacets", "Evaluate", "JudgeBias", "DeviceCheck"):
        assert f"{step}: verdict computed again: passed" in verified.stdout
    assert f"version {GROUP} 1: " in verified.stdout

    file = registered.output("Score", "scores", run=story.runs[-1]) / "candidate-00000.parquet"
    before, table = file.read_bytes(), pq.read_table(file)
    turned = pa.array([scores[::-1] for scores in table["scores"].to_pylist()])
    intervals = registered.output("JudgeBias", "intervals", run=story.runs[-1]) / "intervals.json"
    measured = intervals.read_text()
    bent = json.loads(measured)
    bent[-1]["looks"] += 1
    try:
        pq.write_table(table.set_column(table.column_names.index("scores"), "scores", turned), file)
        intervals.write_text(json.dumps(bent))
        changed = registered.call("runs", "verify", story.runs[-1])
    finally:
        file.write_bytes(before)
        intervals.write_text(measured)
    assert changed.returncode == 4
    assert "output scores (s3://" in changed.stdout
    assert "has sha256" in changed.stdout
    assert "check `auc` is " in changed.stdout
    of = " & ".join(map("=".join, zip(bent[-1]["facet"], bent[-1]["group"], strict=True)))
    assert f"post_training {bent[-1]['metric']} {of} differ from the record" in changed.stdout


def test_two_runs_stand_side_by_side(registered: Project, unchanged: Attempt, story: Story) -> None:
    other = json.loads(unchanged.stdout)["id"]
    compared = registered.call("runs", "diff", story.runs[-1], other)
    assert compared.returncode == 0, compared.stderr
    assert "settings: 0 of " in compared.stdout
    assert "data: 0 of " in compared.stdout
    assert "metrics: 0 of " in compared.stdout
    assert "model-quality  " in compared.stdout
    parts = json.loads(registered.call("runs", "diff", story.runs[0], other, "--json").stdout)
    lines = {line["name"]: line for part in parts for line in part["lines"]}
    assert (lines["status"]["left"], lines["status"]["right"]) == ("interrupted", "registered")
    assert lines["auc"]["left"] is None
    assert lines["auc"]["right"]["low"] < lines["auc"]["right"]["value"]


def test_a_version_is_traced_back_to_its_data_code_and_gates(registered: Project, story: Story):
    traced = registered.call("model", "lineage", "1", "--recipe", "tiny")
    assert traced.returncode == 0, traced.stderr
    folder = registered.output("Snapshot", "manifest", run=story.runs[-1])
    manifest = json.loads((folder / "manifest.json").read_text())
    assert f"sha256 {manifest['sha256']}" in traced.stdout
    assert f"contract sha256 {manifest['contract']['sha256']}" in traced.stdout
    assert "  model-quality: passed" in traced.stdout
    assert "required >=" in traced.stdout
    assert "verified  model.tar.gz: sha256" in traced.stdout
    assert "verified  definition: sha256" in traced.stdout
    assert "verified  training snapshot: sha256" in traced.stdout
    assert "not verifiable here  provenance: it is unsigned" in traced.stdout


@pytest.mark.slow
def test_an_int8_artifact_is_judged_by_every_gate_and_trains_nothing(registered, unchanged):
    before = json.loads(unchanged.stdout)["id"]
    floats = registered.output("Evaluate", "predictions", run=before) / "predictions.parquet"
    judged = pq.read_table(floats)["score"].to_numpy()
    int8 = ("compile.quantization=int8", "compile.batch_sizes=[1]")
    done = registered.sashiko(*RUN, *(part for item in int8 for part in ("--set", item)))
    assert done.returncode == 0, done.stderr
    statuses = registered.statuses()
    assert statuses["Train"] == "cached"
    made = ("Compile", "Score", "Evaluate", "Explain", "PostBias", "JudgeBias", "DeviceCheck",
            "Register")  # fmt: skip
    assert {statuses[step] for step in made} == {"succeeded"}

    listed = registered.call("model", "list", "--recipe", "tiny", "--json")
    newest = max(json.loads(listed.stdout), key=lambda version: version["version"])
    assert newest["tags"]["compile.dtype"] == "int8"
    gates = ("data-quality", "data-quality-facets", "model-quality", "bias", "device")
    assert {newest["tags"][f"gate.{gate}"] for gate in gates} == {"passed"}
    rounded = registered.output("Evaluate", "predictions") / "predictions.parquet"
    apart = np.abs(pq.read_table(rounded)["score"].to_numpy() - judged)
    assert 1e-5 < apart.max() < 0.2
