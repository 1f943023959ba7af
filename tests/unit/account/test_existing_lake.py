"""A table of another owner, seen from an account: versions, grants, the doctor and a draft."""

import json
import multiprocessing
import os
import re
import shlex
import signal
import time
from functools import partial
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import validate_parameters

from sashiko.account import existing_lake
from sashiko.account.existing_lake import existing_version, owner_text, pull_sample
from sashiko.contract.load import load_contract
from sashiko.data import athena_lake
from sashiko.data.draft.review import review_lines
from sashiko.doctor.plan import check_grants, check_types
from sashiko.doctor.services import run_check
from sashiko.errors import InputError
from tests.full_disk import file_size_limit
from tests.infra.variants import settings_of, write_config
from tests.unit.account.fake_account import FakeAccount
from tests.unit.commands.in_process import ROOT, sashiko
from tests.unit.contract.documents import document, save, table_of
from tests.unit.data.existing import LAKE, TYPES, existing, glue_answer, link_answer

DEV = settings_of("dev")
QUERY = "11111111-2222-3333-4444-555555555555"
_ROLE = "arn:aws:iam::111122223333:role/sashiko-dev-"
_TRAINING = ["loan_id", "lent_at", "pages", "price", "title", "late"]
_FACETS = ["loan_id", "age_group", "late"]


def _account(table: Any, *rows: str, sql: list[str] | None = None) -> FakeAccount:
    """An account whose query of snapshots has these rows."""

    def start(request: Any) -> Any:
        if sql is not None:
            sql.append(request["QueryString"])
        assert request["WorkGroup"] == "sashiko-dev-exploration"
        return {"QueryExecutionId": QUERY}

    data = [{"Data": [{"VarCharValue": value}]} for value in ("snapshot_id", *rows)]
    return FakeAccount({
        ("glue", "get_table"): table,
        ("athena", "start_query_execution"): start,
        ("athena", "get_query_execution"): {"QueryExecution": {"Status": {"State": "SUCCEEDED"}}},
        ("athena", "get_query_results"): {"ResultSet": {"Rows": data}},
    })  # fmt: skip


def test_a_run_is_started_on_the_newest_snapshot_or_the_one_that_is_named(tmp_path):
    lake = existing(tmp_path).lake
    assert lake
    sql: list[str] = []
    account = _account(glue_answer(TYPES), "42", sql=sql)
    assert existing_version(account, DEV, lake) == "42"
    assert existing_version(account, DEV, lake, as_of="41") == "42"
    assert sql[0].endswith(
        'FROM "shared"."loans$snapshots" WHERE snapshot_id = (SELECT snapshot_id FROM '
        '"shared"."loans$refs" WHERE name = \'main\')'
    )
    assert sql[1].endswith("WHERE snapshot_id = 41")
    with pytest.raises(InputError, match="has no snapshot 41"):
        existing_version(_account(glue_answer(TYPES)), DEV, lake, as_of="41")
    with pytest.raises(InputError, match="has snapshots: name the id of one"):
        existing_version(account, DEV, lake, as_of="20261201T000000Z")
    with pytest.raises(InputError, match=r"shows you no table .*sales.*--for-owner"):
        existing_version(_account("EntityNotFoundException"), DEV, lake)


def test_a_table_without_snapshots_is_copied_under_the_present_time_alone(tmp_path):
    lake = existing(tmp_path).lake
    assert lake
    account = _account(glue_answer(TYPES, iceberg=False))
    assert re.fullmatch(r"\d{8}T\d{6}Z", existing_version(account, DEV, lake))
    with pytest.raises(InputError, match="has no snapshots: leave it out"):
        existing_version(account, DEV, lake, as_of="20261201T000000Z")


def test_a_sample_has_what_its_reader_may_see_and_no_personal_column(tmp_path, monkeypatch):
    contract, sql = existing(tmp_path), list[str]()
    types = {name: kind for name, kind in TYPES.items() if name != "age_group"}
    account = _account(glue_answer(types), "42", sql=sql)
    monkeypatch.setattr(athena_lake, "download", _write)
    folder = tmp_path / "sample"
    assert pull_sample(account, DEV, contract, rows=100, folder=folder) == "42"
    unload = sql[-1]
    assert "FOR VERSION AS OF 42" in unload
    assert 'ORDER BY xxhash64(to_utf8(CAST("loan_id" AS varchar))) LIMIT 100' in unload
    assert "TO 's3://sashiko-dev-artifacts-111122223333-us-east-1/athena/pull-" in unload
    assert "reader" not in unload
    assert "age" not in unload.replace("pages", "")
    assert folder.stat().st_mode & 0o77 == 0
    with pytest.raises(InputError, match="sample exists: nothing is pulled"):
        pull_sample(account, DEV, contract, rows=100, folder=folder)
    with pytest.raises(InputError, match="key `loan_id` is pii, or not granted"):
        pull_sample(_account(glue_answer({})), DEV, contract, rows=100, folder=tmp_path / "other")
    other = _account(glue_answer(TYPES | {"pages": "string"}))
    with pytest.raises(InputError, match="column `pages` has type string"):
        pull_sample(other, DEV, contract, rows=100, folder=tmp_path / "other")
    monkeypatch.setattr(athena_lake, "download", lambda *_, **__: [])
    with pytest.raises(InputError, match=r"loans_v2 shows you no rows: nothing is pulled"):
        pull_sample(account, DEV, contract, rows=100, folder=tmp_path / "other")
    assert not [*tmp_path.glob("other"), *tmp_path.glob(".tmp-*")]
    ours = contract.model_copy(update={"lake": None})
    with pytest.raises(InputError, match="names no `lake`"):
        pull_sample(account, DEV, ours, rows=100, folder=tmp_path / "other")


def _write(*place: Any, stop: Any, rows: bytes = b"rows") -> list[Path]:
    file: Path = place[-1] / "000000.parquet"
    file.write_bytes(rows)
    return [file]


def _pull(folder: Path, download: Any = _write) -> None:
    contract, account = existing(folder.parent), _account(glue_answer(TYPES), "42")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(athena_lake, "download", download)
        pull_sample(account, DEV, contract, rows=100, folder=folder)


def test_a_full_disk_leaves_no_part_of_a_sample(tmp_path):
    with (
        file_size_limit(8_000),
        pytest.raises(InputError, match=r"cannot write .*sample: File too large; free some space"),
    ):
        _pull(tmp_path / "sample", partial(_write, rows=bytes(9_000)))
    assert not [*tmp_path.glob("*sample")]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_a_pull_that_is_ended_leaves_nothing_and_two_at_once_are_refused(number, status, tmp_path):
    folder, processes = tmp_path / "sample", multiprocessing.get_context("fork")
    begun = processes.Event()

    def half(*place: Any, stop: Any) -> None:
        Path(place[-1], "000000.parquet.1a2B").write_bytes(b"half")
        begun.set()
        while stop.signal is None:
            time.sleep(0.01)
        stop.exit_if_requested()

    pull = processes.Process(target=_pull, args=[folder, half])
    pull.start()
    assert begun.wait(60)
    with pytest.raises(InputError, match=r"another process pulls .*sample: wait for it"):
        _pull(folder)
    os.kill(int(pull.pid or 0), number)
    pull.join()
    assert pull.exitcode == status
    assert [*tmp_path.glob("*sample")] == [tmp_path / ".tmp-sample"] * (status < 0)
    _pull(folder)  # which removes what a killed one left
    files = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.parquet*")}
    assert files == {"sample/000000.parquet"}


def _calls(text: str) -> list[tuple[str, dict[str, str]]]:
    """The commands of a text: verb, and option -> value."""
    calls = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            _, service, verb, *words = shlex.split(line)
            options = dict(zip(words[::2], words[1::2], strict=True))
            calls.append((f"{service} {verb}", options))
    return calls


def _grants(text: str) -> list[tuple[str, str, Any]]:
    """Principal, permission and resource of each grant, each valid for the API."""
    shape = botocore.session.get_session().get_service_model("lakeformation").shape_for("Resource")
    grants = []
    for verb, options in _calls(text):
        if verb == "lakeformation grant-permissions":
            resource = json.loads(options["--resource"])
            validate_parameters(resource, shape)
            to = options["--principal"].removeprefix("DataLakePrincipalIdentifier=")
            grants.append((to.removeprefix(_ROLE), options["--permissions"], resource))
    return grants


def test_the_owner_of_a_shared_table_is_told_what_to_grant_in_order(tmp_path):
    text = owner_text(DEV, existing(tmp_path))
    verbs = [verb for verb, _ in _calls(text)]
    assert verbs == [
        *["lakeformation grant-permissions"] * 2,
        "ram get-resource-share-invitations", "ram accept-resource-share-invitation",
        "glue create-table", *["lakeformation grant-permissions"] * 6,
    ]  # fmt: skip
    table = {"CatalogId": "222233334444", "DatabaseName": "sales", "Name": "loans_v2"}
    link = {"CatalogId": "111122223333", "DatabaseName": "shared", "Name": "loans"}
    grants = _grants(text)
    every = [*_TRAINING, "age_group"]
    assert grants[:2] == [
        ("111122223333", "DESCRIBE", {"Table": table}),
        ("111122223333", "SELECT", {"TableWithColumns": table | {"ColumnNames": every}}),
    ]
    shared = [options for verb, options in _calls(text)[:2]]
    assert [one["--permissions-with-grant-option"] for one in shared] == ["DESCRIBE", "SELECT"]
    for role, columns in (
        ("broker", _TRAINING), ("data-scientist", _TRAINING), ("bias-evaluator", _FACETS),
    ):  # fmt: skip
        assert [grant[1:] for grant in grants if grant[0] == role] == [
            ("DESCRIBE", {"Table": link}),
            ("SELECT", {"TableWithColumns": table | {"ColumnNames": columns}}),
        ]
    assert not [options for _, options in _calls(text)[5:] if "with-grant" in str(options)]
    assert "reader" not in text


def test_a_table_of_the_same_account_needs_no_share_and_no_link(tmp_path):
    text = owner_text(DEV, existing(tmp_path, {"database": "sales", "table": "loans_v2"}))
    assert {verb for verb, _ in _calls(text)} == {"lakeformation grant-permissions"}
    assert [permission for _, permission, _ in _grants(text)] == ["SELECT"] * 3


def _grant(role: str, *columns: str) -> dict[str, Any]:
    names = {"DatabaseName": "sales", "Name": "loans_v2", "ColumnNames": list(columns)}
    return {
        "Principal": {"DataLakePrincipalIdentifier": f"{_ROLE}{role}"},
        "Resource": {"TableWithColumns": names},
        "Permissions": ["SELECT"],
    }


def _doctor(folder: Path, table: Any, *grants: dict[str, Any]) -> dict[str, tuple[str, str]]:
    listed = {"PrincipalResourcePermissions": list(grants)}
    answers = {("glue", "get_table"): table, ("lakeformation", "list_permissions"): listed}
    checks = check_grants(FakeAccount(answers), DEV, existing(folder))
    return {check.name.split()[-1]: (check.status, check.detail) for check in checks}


def test_the_doctor_holds_link_and_grants_against_the_contract(tmp_path):
    checks = _doctor(
        tmp_path, link_answer(), _grant("broker", *_TRAINING),
        _grant("data-scientist", *_TRAINING, "age_group"), _grant("bias-evaluator", "loan_id"),
    )  # fmt: skip
    assert checks["shared.loans"][0] == "ok"
    assert checks["broker"] == ("ok", "6 columns, and no others")
    assert checks["data-scientist"] == (
        "failed", "it lacks nothing, and may read age_group besides",
    )  # fmt: skip
    assert checks["bias-evaluator"] == (
        "failed", "it lacks age_group, late, and may read nothing besides",
    )  # fmt: skip


def test_the_doctor_does_not_know_what_it_is_not_shown(tmp_path):
    checks = _doctor(tmp_path, "EntityNotFoundException")
    assert checks.pop("shared.loans") == ("failed", "leads to nothing")
    assert {status for status, _ in checks.values()} == {"unknown"}
    other = glue_answer({})
    assert _doctor(tmp_path, other)["shared.loans"][0] == "failed"


def _types(folder: Path, table: Any, *admins: str) -> tuple[str, str]:
    """The doctor's last check of columns, and what all of them say."""
    contract = existing(folder)
    assert contract.lake
    settings = {"DataLakeAdmins": [{"DataLakePrincipalIdentifier": admin} for admin in admins]}
    account = FakeAccount({
        ("glue", "get_table"): table,
        ("sts", "get_caller_identity"): {"Account": "111122223333", "Arn": f"{_ROLE}me"},
        ("lakeformation", "get_data_lake_settings"): {"DataLakeSettings": settings},
    })  # fmt: skip
    checks = [*run_check("columns", partial(check_types, account, contract, contract.lake))]
    return checks[-1].status, " ".join(f"{check.status}: {check.detail}" for check in checks)


def test_the_doctor_names_a_column_that_is_gone_or_of_another_type_and_no_new_one(tmp_path):
    gained = glue_answer(TYPES | {"branch": "int"})
    assert _types(tmp_path, gained) == ("ok", "ok: 7 have the contract's types")
    changed = TYPES | {"pages": "string", "age_group": "array<string>"}
    status, detail = _types(tmp_path, glue_answer(changed))
    assert status == "failed"
    assert "column `pages` has type string, the contract `library-loans` says integer" in detail
    assert "column `Age_Group` has type array<string>" in detail
    # A column that no step reads may go too.
    gone = {name: kind for name, kind in TYPES.items() if name not in ("age_group", "reader")}
    status, detail = _types(tmp_path, glue_answer(gone), f"{_ROLE}me")
    assert (status, detail.count("no column `Age_Group`"), detail.count("`")) == ("failed", 1, 4)
    # What is granted to others alone is hidden, and may be there.
    hidden = "unknown: not shown to you, who are no administrator: Age_Group"
    status, detail = _types(tmp_path, glue_answer(gone))
    assert (status, detail) == ("ok", f"{hidden} ok: 6 have the contract's types")


@pytest.fixture
def project(tmp_path):
    """A project without a contract."""
    (tmp_path / "config").mkdir()
    write_config(tmp_path / "config", "dev")
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    return tmp_path


def _init(project: Path, monkeypatch: pytest.MonkeyPatch, table: Any, *options: str) -> Any:
    account = FakeAccount({("glue", "get_table"): table})
    monkeypatch.setattr(existing_lake, "Account", lambda _: account)
    arguments = ["contract", "init", "shared.loans", "--from-glue", "--env", "dev"]
    return sashiko(*arguments, "--label", "late", *options, cwd=project)


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ("EntityNotFoundException", (), "of 111122223333 shows you no table shared.loans: correct"),
        ("AccessDeniedException", (), "use the role sashiko-dev-data-scientist, or ask its owner"),
        (glue_answer(TYPES, TableType="VIRTUAL_VIEW"), (), "shared.loans is a view, which has no"),
        (glue_answer({"late": "struct<day:int>"}), (), "--label late: shared.loans has no column "
         "to use; left out, as a contract has no such type: late (struct<day:int>)"),
        (glue_answer(TYPES), ("--label", "outcome"), "--label outcome: shared.loans has loan_id, "),
        (glue_answer(TYPES), ("--facet", "age"), "--from-glue reads no rows: name facets in the"),
    ],
)  # fmt: skip
def test_what_the_catalog_cannot_draft_is_one_error(project, monkeypatch, table, options, message):
    done = _init(project, monkeypatch, table, *options)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert message in done.stderr
    assert not (project / "contracts").exists()


def test_the_command_prints_an_owners_grants_or_says_what_is_wrong(project):
    command = ("env", "permissions", "--for-owner", "--env", "dev")
    with (project / "config/dev.yaml").open("a") as file:
        file.write("contracts: [loans]\n")
    refused = [sashiko(*command, cwd=project)]
    (project / "contracts").mkdir()
    edited, lake = document(), {"property": "lake", "value": {"database": "sales"}}
    path = save(edited, project).rename(project / "contracts/loans.odcs.yaml")
    assert sashiko(*command, cwd=project).stdout.startswith("# no contract of dev names a `lake`")
    table_of(edited)["customProperties"].append(lake)
    path.write_text(yaml.safe_dump(edited))
    refused.append(sashiko(*command, cwd=project))
    lake["value"] = dict(LAKE)
    path.write_text(yaml.safe_dump(edited))
    assert sashiko(*command, cwd=project).stdout == f"{owner_text(DEV, load_contract(path))}\n"
    refused.append(sashiko(*command, "--json", cwd=project))
    words = ("contracts/loans.odcs.yaml", "`lake.table`", "leave --json out")
    for done, word in zip(refused, words, strict=True):
        assert (done.returncode, done.stdout, word in done.stderr) == (1, "", True)


def test_a_draft_has_the_catalogs_types_comments_and_owner(project, monkeypatch):
    answer = glue_answer(
        {"Loan Id": "string", "pages": "int", "e_mail": "string", "ts": "timestamp",
         "tags": "array<string>", "late": "string", "title": "varchar(9)"},
        Description="Loans of the library.", Owner="lending-team",
    )  # fmt: skip
    answer["Table"]["StorageDescriptor"]["Columns"][1]["Comment"] = "Printed pages: all of them."
    done = _init(project, monkeypatch, answer)
    assert done.stderr.endswith("left out, as a contract has no such type: tags (array<string>)\n")
    path = project / "contracts/loans.odcs.yaml"
    contract = load_contract(path)
    assert str(contract.lake) == "shared.loans"
    assert "lending-team" in contract.description
    columns = {column.name: column for column in contract.columns}
    assert list(columns) == ["loan_id", "pages", "e_mail", "ts", "late", "title"]
    assert columns["pages"].description == "Printed pages: all of them."
    assert columns["pages"].logical_type == "integer"
    assert columns["loan_id"].physical_name == "Loan Id"
    assert contract.key == "loan_id"
    assert columns["e_mail"].classification == "pii"
    assert contract.text_columns == ("pages", "ts", "title")
    assert len(review_lines(path)) > len(columns)  # so that no run starts on it
    assert path.read_text().count("# review: the catalog has no comment") == len(columns) - 1
    assert yaml.safe_load(path.read_text())["status"] == "draft"
