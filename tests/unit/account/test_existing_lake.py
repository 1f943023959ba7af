"""A table of another owner, seen from an account: versions, grants, the doctor and a draft."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import yaml
from botocore.validate import validate_parameters

from sashiko.account.existing_lake import existing_version, owner_text, pull_sample
from sashiko.contract.load import load_contract
from sashiko.data import athena_lake
from sashiko.data.draft.review import review_lines
from sashiko.data.draft.write import write_catalog_draft
from sashiko.data.existing_table import read_table
from sashiko.doctor.plan import check_grants
from sashiko.errors import InputError
from tests.infra.variants import settings_of
from tests.unit.account.fake_account import FakeAccount
from tests.unit.data.existing import TYPES, existing, glue_answer, link_answer

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
    monkeypatch.setattr(athena_lake, "download", lambda *_, **__: [])
    folder = tmp_path / "sample"
    assert pull_sample(account, DEV, contract, rows=100, folder=folder) == "42"
    unload = sql[-1]
    assert "FOR VERSION AS OF 42" in unload
    assert 'ORDER BY xxhash64(to_utf8(CAST("loan_id" AS varchar))) LIMIT 100' in unload
    assert "TO 's3://sashiko-dev-artifacts-111122223333-us-east-1/athena/pull-" in unload
    assert "reader" not in unload
    assert "age" not in unload.replace("pages", "")
    with pytest.raises(InputError, match="sample exists: nothing is pulled"):
        pull_sample(account, DEV, contract, rows=100, folder=folder)
    with pytest.raises(InputError, match="key `loan_id` is pii, or not granted"):
        pull_sample(_account(glue_answer({})), DEV, contract, rows=100, folder=tmp_path / "other")
    monkeypatch.setattr(athena_lake, "download", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        pull_sample(account, DEV, contract, rows=100, folder=tmp_path / "other")
    assert not [*tmp_path.glob("other"), *tmp_path.glob(".tmp-*")]
    ours = contract.model_copy(update={"lake": None})
    with pytest.raises(InputError, match="names no `lake`"):
        pull_sample(account, DEV, ours, rows=100, folder=tmp_path / "other")


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


def test_a_draft_has_the_catalogs_types_comments_and_owner(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recipes/models").mkdir(parents=True)
    answer = glue_answer(
        {"Loan Id": "string", "pages": "int", "e_mail": "string", "ts": "timestamp",
         "tags": "array<string>", "late": "string", "title": "varchar(9)"},
        Description="Loans of the library.", Owner="lending-team",
    )  # fmt: skip
    answer["Table"]["StorageDescriptor"]["Columns"][1]["Comment"] = "Printed pages: all of them."
    lake = existing(tmp_path).lake
    assert lake
    table = read_table(lambda **_: answer, lake)
    with pytest.raises(InputError, match=r"--label outcome: .* has loan_id, pages"):
        write_catalog_draft(table, name="loans", label="outcome")
    path = write_catalog_draft(table, name="loans", label="late")
    contract = load_contract(path)
    assert contract.lake == lake
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
    assert yaml.safe_load(path.read_text())["status"] == "draft"
