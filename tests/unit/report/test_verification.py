"""`sashiko runs verify`: what it says of a run as on record, and of each way to bend one."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sashiko import __version__
from sashiko.base.files import sha256_bytes, write_json
from sashiko.commands.run_evidence import Finding, verify
from sashiko.errors import InputError
from sashiko.pipeline.runner.run_record import RunRecord
from sashiko.registry.mlflow import MlflowRegistry, experiment_id, mlflow_client
from sashiko.report.evidence import Evidence, read_evidence
from tests.unit.pipeline.runner.tiny import Tiny
from tests.unit.run_report import runs

RAW = "s3://b/raw"
# Judges the number in its input; of two facets crossed, which are in no check, it writes beside it.
JUDGE = """
from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.evaluation.gates.verdict import Check, decide, write_verdict
value = float((IN / "data/x").read_text())
check = Check(name="auc", value=value, low=value - 0.1, high=value + 0.1, threshold=0.7,
              comparison=">=", passed=value >= 0.7)
write_verdict(decide(gate="quality", checks=[check], inputs={"data": "0" * 64}), OUT / "verdict")
estimate = BiasEstimate(stage="post_training", metric="DI", facet=("age", "sex"),
                        group=("old", "f"), value=value, low=0.5, high=1.5, looks=4,
                        n_disadvantaged=30, n_advantaged=70)
(OUT / "intervals/intervals.json").write_text(json.dumps([estimate.model_dump(mode="json")]))
"""


class JudgedRun:
    """A run of one step, `Judge`, that is verified later."""

    def __init__(self, home: Path, *, value: str = "0.8") -> None:
        self.tiny = Tiny(home)
        self.tiny.put(f"{RAW}/x", value)
        self.record = self.run()

    def copied(self, home: Path) -> "JudgedRun":
        """The same run in another home."""
        shutil.copytree(self.tiny.home, home)
        other = copy.copy(self)
        other.tiny = Tiny(home)
        other.tiny.runs = self.tiny.runs
        return other

    def run(self) -> RunRecord:
        outputs = ("verdict", "intervals")
        return self.tiny.run(self.tiny.job("Judge", JUDGE, inputs={"data": RAW}, outputs=outputs))

    @property
    def evidence(self) -> Evidence:
        home = self.tiny.home
        return read_evidence(home / "runs" / self.record.id, home)

    def output(self, name: str) -> Path:
        """The one file of an output."""
        (file,) = self.tiny.output(self.record, "Judge", name).iterdir()
        return file

    def bend(self, output: str, **changes: Any) -> None:
        """Changes the first check, or the first estimate, in an output's file."""
        file = self.output(output)
        content = json.loads(file.read_text())
        first = content["checks"][0] if output == "verdict" else content[0]
        first |= changes
        file.write_text(json.dumps(content))


HASHES = "Judge: 1 inputs and 2 outputs"
VERDICT = "Judge: verdict computed again"


@pytest.fixture(scope="module")
def judged_once(tmp_path_factory):
    return JudgedRun(tmp_path_factory.mktemp("judged") / "home")


@pytest.fixture
def judged(judged_once, tmp_path):
    return judged_once.copied(tmp_path / "home")


def problems(judged: JudgedRun) -> dict[str, str]:
    """Subject -> problem of everything that differs."""
    findings = verify(judged.evidence, registry=None)
    return {item.subject: item.problem for item in findings if item.problem}


def test_a_run_that_is_as_on_record_says_what_was_checked_and_is_left_alone(judged):
    home = judged.tiny.home

    def content() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in home.rglob("*") if path.is_file()}

    before = content()
    findings = list(verify(judged.evidence, registry=None))
    assert findings == [Finding(HASHES), Finding(f"{VERDICT}: passed, 1 checks")]
    assert content() == before


def test_a_failed_verdict_that_fails_again_is_as_on_record(tmp_path):
    judged = JudgedRun(tmp_path / "home", value="0.6")
    assert problems(judged) == {}
    assert Finding(f"{VERDICT}: failed, 1 checks") in verify(judged.evidence, registry=None)


def test_changed_data_are_detected_by_their_hash_and_by_what_they_are_judged_now(judged):
    judged.tiny.put(f"{RAW}/x", "0.5")
    problem_of = problems(judged)
    assert set(problem_of) == {HASHES, f"{VERDICT}: failed, 1 checks"}
    assert problem_of[HASHES].startswith(f"input data ({RAW}) has sha256 ")
    assert judged.record.step("Judge").inputs["data"].sha256 in problem_of[HASHES]
    message = problem_of[f"{VERDICT}: failed, 1 checks"]
    assert "check `auc` is failed at 0.5, not passed at 0.8" in message
    assert "it is failed, 1 checks, not passed, 1 checks as on record" in message


@pytest.mark.parametrize(("change", "message"), [
    ({"value": 0.9}, "check `auc` is passed at 0.8, not passed at 0.9"),
    ({"low": 0.75}, "check `auc` is passed at 0.8"),
    ({"passed": False}, "check `auc` is passed at 0.8, not failed at 0.8"),
    ({"name": "accuracy"}, "check `accuracy` is on record only; check `auc` is found now only"),
])  # fmt: skip
def test_a_verdict_that_was_edited_is_detected(judged, change, message):
    judged.bend("verdict", **change)
    problem_of = problems(judged)
    assert "output verdict (s3://b/runs/" in problem_of[HASHES]
    assert message in problem_of[f"{VERDICT}: passed, 1 checks"]


@pytest.mark.parametrize("version", ["0.0.1", __version__])
def test_what_another_version_of_the_engine_judges_otherwise_is_not_an_edit(judged, version):
    file = judged.tiny.home / "runs" / judged.record.id / "definition.json"
    definition = json.loads(file.read_text())
    definition["Steps"][0]["Arguments"]["AppSpecification"]["ImageUri"] = f"job:{version}"
    file.write_text(json.dumps(definition))
    judged.bend("verdict", value=0.9)
    verdict = list(verify(judged.evidence, registry=None))[1]
    assert bool(verdict.problem) == (version == __version__)
    assert verdict.otherwise.startswith("the run is of engine 0.0.1, but") != bool(verdict.problem)
    assert HASHES in problems(judged)  # an edit shows by its hash, whatever the version


def test_a_verdict_on_other_inputs_is_detected(judged):
    file = judged.output("verdict")
    file.write_text(file.read_text().replace("0" * 64, "1" * 64))
    message = problems(judged)[f"{VERDICT}: passed, 1 checks"]
    assert message == "its inputs have other hashes than the record says"


def test_the_last_places_of_a_number_may_differ_on_another_machine(judged):
    judged.bend("verdict", value=0.8 * (1 + 1e-9), low=0.7 * (1 - 1e-9))
    judged.bend("intervals", value=0.8 * (1 + 1e-9))
    assert set(problems(judged)) == {HASHES}  # which alone says that the files are others


@pytest.mark.parametrize("change", [{"value": 0.79}, {"n_disadvantaged": 31}])
def test_a_figure_that_is_in_no_check_is_detected_too(judged, change):
    judged.bend("intervals", **change)
    problem_of = problems(judged)
    assert set(problem_of) == {HASHES}
    assert "output intervals (" in problem_of[HASHES]


def test_data_that_are_gone_are_reported_and_nothing_can_be_judged_again(judged):
    judged.tiny.store.path(f"{RAW}/x").unlink()
    problem_of = problems(judged)
    assert "input data cannot be read" in problem_of[HASHES]
    assert RAW in problem_of[VERDICT]


def test_a_judge_that_fails_now_is_reported_with_its_reason(judged):
    judged.tiny.put(f"{RAW}/x", "no number")
    message = problems(judged)[VERDICT]
    assert message.startswith(f"step Judge of run {judged.record.id} does not succeed again: ")
    assert "could not convert string to float" in message


def test_a_run_from_the_cache_is_judged_by_the_data_of_the_run_that_made_it(judged):
    judged.record = judged.run()
    assert judged.record.step("Judge").status == "cached"
    assert problems(judged) == {}
    assert Finding(HASHES) in verify(judged.evidence, registry=None)


def test_without_its_verdict_or_definition_a_run_cannot_be_verified(judged):
    judged.output("verdict").unlink()
    assert problems(judged)[VERDICT] == (
        "verdict.json of Judge's output verdict is no longer in the local store."
    )
    (judged.evidence.folder / "definition.json").unlink()
    with pytest.raises(InputError, match=f"run {judged.record.id} cannot be verified: "):
        list(verify(judged.evidence, registry=None))


class TestVersion:
    """The registered version, by its own files."""

    @pytest.fixture(scope="class")
    def home_once(self, tmp_path_factory):
        """A home with a run that registered version 1 of `late-loans`, and its registry."""
        tmp_path = tmp_path_factory.mktemp("version")
        folder = runs.registered(tmp_path)
        files = tmp_path / "files"
        files.mkdir()
        evidence = read_evidence(folder, tmp_path / "home")
        manifest = evidence.output("Snapshot", "manifest", "manifest.json")
        assert isinstance(manifest, Path)
        contents = {"manifest.json": manifest.read_bytes(), "model.tar.gz": b"weights"}
        for name, content in contents.items():
            (files / name).write_bytes(content)
        write_json(
            files / "manifest-sha256.json",
            {name: sha256_bytes(content) for name, content in contents.items()},
        )
        registry = self.registry(tmp_path / "home")
        tags = {"execution_id": "run", "data_sha256": "d" * 64, "contract_sha256": "c" * 64}
        uri = f"sqlite:///{tmp_path / 'home/mlflow.db'}"
        client = mlflow_client(uri)
        run = client.create_run(experiment_id(client, "tests", tracking_uri=uri)).info.run_id
        registry.register("late-loans", files=files, run_id=run, threshold=0.5, tags=tags)
        self.record(tmp_path / "home", artifact=sha256_bytes(b"weights"))
        return tmp_path / "home"

    @pytest.fixture
    def home(self, home_once, tmp_path):
        return shutil.copytree(home_once, tmp_path / "home")

    @staticmethod
    def registry(home: Path) -> MlflowRegistry:
        return MlflowRegistry(f"sqlite:///{home / 'mlflow.db'}")

    @staticmethod
    def record(home: Path, *, artifact: str, version: int = 1) -> None:
        (file,) = home.rglob("registration.json")
        content = json.loads(file.read_text())
        write_json(file, content | {"version": version, "artifact_sha256": artifact})

    def last_finding(self, home: Path, registry: MlflowRegistry | None) -> Finding:
        (folder,) = (home / "runs").iterdir()
        *_, last = verify(read_evidence(folder, home), registry=registry)
        return last

    def test_it_is_as_the_run_registered_it(self, home):
        finding = self.last_finding(home, self.registry(home))
        assert finding == Finding("version late-loans 1: 2 files and the artifact")

    def test_another_artifact_and_what_is_gone_are_reported(self, home):
        finding = self.last_finding(home, None)
        assert finding.subject == "version late-loans 1"
        assert finding.problem == "there is no registry on this machine any more"
        self.record(home, artifact="0" * 64)
        finding = self.last_finding(home, self.registry(home))
        assert finding.problem.endswith(", the run registered another")
        self.record(home, artifact="0" * 64, version=7)
        assert "7" in self.last_finding(home, self.registry(home)).problem
