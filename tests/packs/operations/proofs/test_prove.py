"""`sashiko env prove` as a person meets it, and what records mean for the page and for CI."""

import datetime as dt
import json
import re
import warnings
from pathlib import Path
from typing import Any

import pytest

import sashiko_packs.operations.commands.prove as command
from docs.records import PAGE
from sashiko.account.account import Account
from sashiko.errors import InputError
from sashiko_packs.operations.proofs import execution, record
from sashiko_packs.operations.proofs.execution import Execution, clean
from sashiko_packs.operations.proofs.probe import Call, all_probes
from sashiko_packs.operations.proofs.record import CallRecord, Record, counted, read_records
from tests.packs.operations.proofs.world import CALLER, DEV, failure, place_of, world_of
from tests.unit.commands.in_process import ROOT, sashiko

PROBES = {probe.id: probe for probe in all_probes()}


def make_record(*, refused: bool = False, **changes: Any) -> Record:
    """Returns a record of `quality-rules`, whose one call AWS accepts, or refuses."""
    error = {"code": "InvalidInputException"} if refused else None
    call = {"name": "ruleset", "operation": "glue:CreateDataQualityRuleset", "request": {}}
    probe = PROBES["quality-rules"]
    values = {
        "id": probe.id, "belief": probe.belief, "row": probe.row, "region": "us-east-1",
        "date": dt.date(2026, 12, 1), "botocore": "1.44.8", "endpoint_override": False,
        "calls": (CallRecord.model_validate({**call, "error": error}),), "verdict": "holds",
        "cost_usd": 0, "seconds": 1,
    }  # fmt: skip
    return Record.model_validate({**values, **changes})


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project, its sandbox's credentials, and no waiting."""
    (tmp_path / "config").symlink_to(ROOT / "config")
    monkeypatch.setattr(Account, "check_identity", lambda _: CALLER)
    monkeypatch.setitem(execution.Place.__init__.__kwdefaults__, "sleep", lambda _: None)
    return tmp_path


def test_the_list_has_price_time_belief_and_record_of_each(tmp_path: Path) -> None:
    assert make_record(date=dt.date(2024, 1, 1)).write(tmp_path / "verification/records").exists()
    (tmp_path / "config").symlink_to(ROOT / "config")
    rows = json.loads(sashiko("env", "prove", "--list", "--json", cwd=tmp_path).stdout)
    assert [row["probe"] for row in rows] == [*PROBES]
    assert all(row["belief"] and row["usd"] >= 0 and row["minutes"] > 0 for row in rows)
    states = {row["probe"]: row["record"] for row in rows}
    assert states["quality-rules"] == "holds on 2024-01-01, more than a year ago"
    assert (states["trust-lambda"], states["stacks-deploy"]) == (
        "never recorded",
        "not written yet",
    )
    *_, last = sashiko("env", "prove", "--list", cwd=tmp_path).stdout.splitlines()
    assert re.fullmatch(r"38 can run, for \d\.\d\d US dollars \(us-east-1\)", last)


@pytest.mark.parametrize(("words", "expected"), [
    (("--env", "prod", "trust-lambda"), "not in `prod`. Write config/sandbox.yaml"),
    (("--env", "local", "trust-lambda"), "it has no account"),
    (("nothing",), "the probe `nothing` is not known; --list shows all"),
    (("stacks-deploy",), "the probe `stacks-deploy` is not written yet"),
    ((), "name probes, or give --up-to"),
    (("--sweep", "trust-lambda"), "--list and --sweep take no probes"),
    (("trust-lambda", "--up-to", "1"), "name probes, or give --up-to"),
    (("trust-glue",), "up to 0.01 US dollars in the account 111122223333 for trust-glue (8 min)"),
])  # fmt: skip
def test_nothing_is_called_before_it_is_clear_what_for_and_what_it_costs(words, expected) -> None:
    refused = sashiko("env", "prove", *words)
    assert (refused.returncode, expected in refused.stderr) == (1, True), refused.stderr


@pytest.mark.parametrize("name", ["staging", "production", "live-eu"])
def test_an_environment_that_others_need_is_refused_by_its_name(name, monkeypatch) -> None:
    other = DEV.model_copy(update={"environment": name})
    monkeypatch.setattr(command, "load_deployed", lambda _: other)
    assert "not in `dev`" in sashiko("env", "prove", "trust-lambda").stderr


@pytest.mark.parametrize(("answer", "expected"), [
    (failure("ExpiredToken"), "the AWS credentials for dev (account 111122223333, us-east-1) are"),
    ({"Account": "444455556666", "Arn": "arn:x"}, "are of the account 444455556666 (arn:x), not"),
])  # fmt: skip
def test_other_credentials_are_one_error(answer, expected, monkeypatch) -> None:
    with world_of({"": answer}, monkeypatch):
        refused = sashiko("env", "prove", "quality-rules", "--yes")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert expected in refused.stderr


def test_no_credentials_are_one_error(monkeypatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    refused = sashiko("env", "prove", "quality-rules", "--yes", AWS_EC2_METADATA_DISABLED="true")
    assert refused.stderr.startswith("error: no AWS credentials for dev")


def test_credentials_that_expire_on_the_way_end_it_and_the_rest_is_removed_later(
    tmp_path, monkeypatch
) -> None:
    place = place_of(tmp_path)
    with world_of({"control": failure("ExpiredToken")}, monkeypatch) as world:
        with pytest.raises(InputError, match=r"credentials for dev .* are not valid"):
            Execution(PROBES["trust-lambda"], place).record(usd=0)
        world.answers = {}
        for state in tmp_path.glob("*.json"):
            clean(state, place)
    assert not list(tmp_path.iterdir())
    assert {"iam:DeleteRole", "lambda:DeleteFunction"} <= {*world.operations()}


def test_the_scratch_subnet_is_in_a_zone_that_has_the_machine(tmp_path, monkeypatch) -> None:
    zones = [{"ZoneName": f"us-east-1{letter}"} for letter in "cd"]
    machines = {"InstanceTypeOfferings": [{"Location": "us-east-1d"}]}
    answers = {"zones": {"AvailabilityZones": zones}, "machines": machines}
    with world_of(answers, monkeypatch) as world:
        Execution(PROBES["job-in-vpc"], place_of(tmp_path)).record(usd=0)
    sent = {name: request["body"] for name, request in world.calls}
    offered = sent["ec2:DescribeInstanceTypeOfferings"]
    places = (offered[f"Filter.2.{key}"] for key in ("Name", "Value.1", "Value.2"))
    assert tuple(places) == ("location", "us-east-1c", "us-east-1d")
    assert sent["ec2:CreateSubnet"]["AvailabilityZone"] == "us-east-1d"


def test_a_sum_runs_what_has_no_record_and_the_same_command_goes_on_after_a_stop(
    here, monkeypatch
) -> None:
    folder, words = here / "verification/records", ("env", "prove", "--up-to", "0.02", "--yes")
    with world_of({}, monkeypatch) as world:
        world.stop_at = "StartPipelineExecution"
        stopped = sashiko(*words, cwd=here)
        assert (stopped.returncode, "goes on" in stopped.stderr) == (130, True), stopped.stderr
        assert {"sagemaker:DeletePipeline", "iam:DeleteRole"} <= {*world.operations()}
        assert not list((here / ".sashiko/prove/dev").glob("*.json"))
        assert "lambda-step-failure" not in read_records(folder)
        for file in folder.glob("*.json"):  # as if AWS had answered
            other = json.loads(file.read_text()) | {"endpoint_override": False}
            file.write_text(json.dumps(other))
        verdicts = {name: one.verdict for name, one in read_records(folder).items()}
        settled = {name for name, verdict in verdicts.items() if verdict != "unknown"}
        again = sashiko(*words, cwd=here)
    assert again.returncode == 4  # some stay unknown
    ran = {line.partition(":")[0] for line in again.stdout.splitlines()}
    assert settled and not settled & ran
    assert "lambda-step-failure" in ran
    assert "which does not count: the endpoint is not AWS's" in again.stdout


def test_a_record_that_differs_is_not_asked_again_and_is_still_a_problem(here, monkeypatch) -> None:
    monkeypatch.setattr(command, "counted", lambda _, probe: "differs")
    with world_of({}, monkeypatch) as world:
        done = sashiko("env", "prove", "--up-to", "5", "--yes", cwd=here)
    assert (done.returncode, "the records differ: trust-lambda" in done.stderr) == (4, True)
    assert not world.operations()


def test_what_a_killed_run_has_left_goes_first(here, monkeypatch) -> None:
    call = {"call": "lambda:DeleteFunction", "with": {"FunctionName": "prove-0a1b2c-control"}}
    state = here / ".sashiko/prove/dev/trust-lambda.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps([call]))
    with world_of({}, monkeypatch) as world:
        done = sashiko("env", "prove", "quality-rules", "--yes", cwd=here)
    assert world.operations()[0] == "lambda:DeleteFunction"
    assert (done.returncode, state.exists(), "Ruleset: {}\n" in done.stderr) == (0, False, True)


def test_a_sweep_asks_first_and_removes_by_name_and_tag_and_nothing_else(here, monkeypatch) -> None:
    with world_of({}, monkeypatch) as world:
        first = sashiko("env", "prove", "--sweep", cwd=here)
        assert "deleting the resources above needs a confirmation: add --yes" in first.stderr
        assert not [name for name in world.operations() if ":Delete" in name]
        done = sashiko("env", "prove", "--sweep", "--yes", cwd=here)
    assert done.stdout == "5 resources removed\n"  # tagged; the names of others are not of probes
    assert {"kms:ScheduleKeyDeletion", "ec2:DeleteVpc"} <= {*world.operations()}
    assert "sagemaker:DeleteEndpoint" not in world.operations()


def test_what_cannot_be_removed_is_an_error_and_stays_on_the_list(tmp_path, monkeypatch) -> None:
    def refused(*_: Any, **__: Any) -> Any:
        return None, record.ErrorRecord(code="AccessDeniedException", message="may not")

    state = tmp_path / "trust-lambda.json"
    state.write_text(json.dumps([{"call": "iam:DeleteRole", "with": {"RoleName": "prove-1"}}]))
    monkeypatch.setattr(execution, "_call", refused)
    with pytest.raises(InputError, match=r"trust-lambda: not removed: iam:DeleteRole .*may not"):
        clean(state, place_of(tmp_path))
    assert "prove-1" in state.read_text()


def test_what_has_ended_is_not_stopped_again_and_again(monkeypatch) -> None:
    error = record.ErrorRecord(code="ValidationException", message="job is in status Stopped.")
    monkeypatch.setattr(execution, "_call", lambda *_: (None, error))
    stop = Call.model_validate({"call": "sagemaker:StopTrainingJob"})
    assert not execution.remove(stop, Account(DEV), sleep=lambda _: None)


def test_a_record_that_shows_an_account_after_all_is_not_written(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(execution.Scrubber, "text", lambda _, text, __="": text)
    for text in ("of a@b.example", DEV.account, "key AKIAIOSFODNN7EXAMPLE"):
        with (
            world_of({"ruleset": failure("InvalidInputException", text)}, monkeypatch),
            pytest.raises(InputError, match="quality-rules: nothing was recorded"),
        ):
            Execution(PROBES["quality-rules"], place_of(tmp_path)).record(usd=0)


def test_a_record_by_another_endpoint_never_counts() -> None:
    probe = PROBES["quality-rules"]
    assert counted(make_record(), probe) == "holds"
    assert counted(make_record(endpoint_override=True), probe) is None
    # By today's belief, whatever the record says of itself.
    assert counted(make_record(refused=True), probe) == "differs"


@pytest.mark.parametrize("probe", PROBES.values(), ids=list(PROBES))
def test_no_record_differs_from_what_is_believed(probe) -> None:
    """If this fails, AWS does something else: change the code, or the belief."""
    last = read_records(ROOT / record.FOLDER).get(probe.id)
    assert counted(last, probe) != "differs"
    if last and last.is_old(today=dt.datetime.now(dt.UTC).date()):
        warnings.warn(f"{probe.id} was recorded on {last.date}: ask AWS again", stacklevel=1)


def test_no_record_holds_what_is_an_accounts_own() -> None:
    for name, one in read_records(ROOT / record.FOLDER).items():
        text = one.model_dump_json()
        assert not re.search(r"\d{12}|A[KS]IA[A-Z0-9]{12}|[\w.]+@[\w.]+\.\w+", text), name
        assert name in PROBES


# Rows of the matrix whose last column no single call to AWS settles.
_NO_CALL = {
    "pipeline, from data": "systems and Pythons", "several steps in one job": "two jobs of a run",
    "`run --from`": "an execution of a deployed pipeline", "int8 on CPU": "machines",
    "CPU serving": "a deployed model", "causal LM by LoRA": "a GPU", "Trainium": "a chip",
    "DeviceCheck": "a deployed pipeline", "batches": "a deployed pipeline", "bias": "Clarify",
    "intervals": "statistics", "explanations": "a GPU", "promotion": "two deployed accounts",
    "delivery": "a repository", "`sashiko model deliver`": "a repository",
    "organization policies": "an organization", "selection with Bedrock": "Amazon Bedrock",
    "labels of more": "other targets", "its grants": "another account's",
    "`sashiko env doctor`": "a deployed account", "a project": "its images", "faults": "machines",
    "reports": "browsers",
}  # fmt: skip


def test_each_row_of_the_matrix_has_a_probe_or_a_reason_for_none() -> None:
    matrix = PAGE.read_text().partition("| capability | here |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| (.+?) \|(?:.*\|){2} \S.* \|$", matrix, re.MULTILINE)
    assert len(rows) > 30
    probed = {probe.row for probe in PROBES.values()}
    assert probed <= {*rows}
    without = {row for row in rows if row not in probed}
    assert not {row for row in without if not row.startswith(tuple(_NO_CALL))}
