"""What must be so in an account before a deploy: each fault by name, with its fix."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from moto import mock_aws

from sashiko.account.access.environment_access import Environment
from sashiko.account.account import Account
from sashiko.account.names import bootstrap_policy_arn, bootstrap_role_arn, exec_role_arn
from sashiko.doctor.deploy import check_trust, examine
from sashiko.doctor.services import Check
from sashiko.errors import InputError
from sashiko.settings.environment import load_settings
from tests.infra.delivery import write_stages
from tests.infra.variants import settings_of
from tests.unit.account.fake_account import ROLE, Answer, FakeAccount, cap, roles
from tests.unit.account.small_lake import SmallLake

ACCOUNT = "111122223333"
CALLER = f"arn:aws:sts::{ACCOUNT}:assumed-role/admin/me"
EVERYBODY = {
    "Principal": {"DataLakePrincipalIdentifier": "IAM_ALLOWED_PRINCIPALS"},
    "Permissions": ["ALL"],
}
TAGS = {"sashiko-sensitivity": ["none", "sensitive", "pii"], "sashiko-environment": ["dev", "prod"]}
ID = "DataLakePrincipalIdentifier"
Answers = dict[tuple[str, str], Answer]


def lake(*, admins: list[str] | None = None, **more: Any) -> dict[str, Any]:
    names = [exec_role_arn(settings_of("dev")), f"{ROLE}/admin"] if admins is None else admins
    administrators = [{"DataLakePrincipalIdentifier": name} for name in names]
    return {"DataLakeSettings": {"DataLakeAdmins": administrators, **more}}


def tags(known: Mapping[str, list[str]]) -> Answer:
    return {"LFTags": [{"TagKey": key, "TagValues": values} for key, values in known.items()]}


@pytest.fixture
def doctor(tmp_path):
    """Examines an account; keywords, such as `ssm__get_parameter`, are its answers."""

    def run(variant: str = "dev", **changes: Answer) -> Mapping[str, Check]:
        settings = settings_of(variant)
        exec_role = exec_role_arn(settings).rpartition("/")[2]
        environment: Environment = SmallLake(settings).read(tmp_path / variant)
        answers: Answers = {
            ("sts", "get_caller_identity"): {"Account": ACCOUNT, "Arn": CALLER, "UserId": "A"},
            ("ssm", "get_parameter"): {"Parameter": {"Value": "30"}},
            ("lakeformation", "get_data_lake_settings"): lake(),
            ("lakeformation", "list_lf_tags"): tags(TAGS),
            ("iam", "get_role"): roles(exec_role, "admin"),
            ("iam", "get_policy"): {"Policy": {"DefaultVersionId": "v2"}},
            ("iam", "get_policy_version"): cap(trust_open=False),
            ("ec2", "describe_vpc_endpoint_services"): {"ServiceDetails": []},
            ("cloudtrail", "describe_trails"): {"trailList": []},
            ("s3", "get_bucket_policy"): "NoSuchBucketPolicy",
        }
        for name, answer in changes.items():
            service, _, operation = name.partition("__")
            answers[service, operation] = answer
        checks = list(examine(FakeAccount(answers, settings), settings, environment))
        assert checks[0] == Check(name="credentials", status="ok", detail=CALLER)
        return {check.name: check for check in checks}

    return run


def failed(checks: Mapping[str, Check]) -> list[str]:
    return [name for name, check in checks.items() if check.status == "failed"]


@pytest.mark.parametrize("variant", ["dev", "account_off"])
def test_an_account_where_all_is_well_stops_no_deploy(doctor, variant):
    checks = doctor(variant)
    assert failed(checks) == []
    assert checks["data-lake administrators"].detail == (
        f"{ROLE}/admin, {exec_role_arn(settings_of(variant))}"
    )


def test_without_lake_formation_or_an_account_stack_its_settings_are_judged_otherwise(doctor):
    checks = doctor("iam_only", lakeformation__get_data_lake_settings="AccessDeniedException")
    assert "Lake Formation" not in checks
    assert "data-lake administrators" not in checks
    assert failed(checks) == []

    open_defaults = lake(CreateTableDefaultPermissions=[EVERYBODY])
    checks = doctor("account_off", lakeformation__get_data_lake_settings=open_defaults)
    assert failed(checks) == ["default permissions"]
    assert "CreateTableDefaultPermissions: `[]`" in checks["default permissions"].fix


def test_credentials_of_another_account_end_it_before_anything_is_read(doctor):
    other = {"Account": "4" * 12, "Arn": "arn:aws:iam::444444444444:user/x", "UserId": "A"}
    with pytest.raises(InputError, match=r"are of the account 444444444444.*log in to that"):
        doctor(sts__get_caller_identity=other)


@pytest.mark.parametrize(
    ("parameter", "detail"),
    [
        ("ParameterNotFound", "no /cdk-bootstrap/sashiko/version"),
        ({"Parameter": {"Value": "5"}}, "version 5, 6 is needed"),
    ],
)
def test_a_bootstrap_that_is_missing_or_old_fails(doctor, parameter, detail):
    checks = doctor(ssm__get_parameter=parameter)
    assert failed(checks) == ["CDK bootstrap"]
    assert checks["CDK bootstrap"].detail == detail
    assert checks["CDK bootstrap"].fix == "make bootstrap ENV=dev"


def test_a_cap_that_was_left_open_fails_until_the_bootstrap_closes_it(doctor):
    checks = doctor(iam__get_policy_version=cap(trust_open=True))
    assert failed(checks) == ["who assumes the roles"]
    check = checks["who assumes the roles"]
    arn = bootstrap_policy_arn(settings_of("dev"), "cap")
    assert check.detail.startswith(f"a deploy may change it: {arn} does not deny iam:DeleteRole")
    assert check.fix == "make bootstrap ENV=dev"


def test_a_role_without_the_cap_fails_and_a_cap_that_may_not_be_read_is_unknown(doctor):
    exec_role = exec_role_arn(settings_of("dev")).rpartition("/")[2]
    checks = doctor(iam__get_role=roles(exec_role, "admin", boundary="boundary"))
    assert failed(checks) == ["who assumes the roles"]
    assert "cdk-sashiko-boundary-us-east-1, not " in checks["who assumes the roles"].detail
    checks = doctor(iam__get_policy_version="AccessDenied")
    assert checks["who assumes the roles"].status == "unknown"


@pytest.mark.parametrize(("trusted", "status", "detail"), [
    (("222233334444", "777788889999"), None, ""),
    (("222233334444",), "failed", "role deploy does not trust 777788889999"),
    (("222233334444", "777788889999", "999999999999"), "note", "role deploy trusts 999999999999"),
])  # fmt: skip
def test_a_stage_trusts_its_tools_and_nobody_else(tmp_path, monkeypatch, trusted, status, detail):
    (tmp_path / "config").mkdir()
    write_stages(tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    settings = load_settings("staging")
    principals = [f"arn:aws:iam::{account}:root" for account in trusted]
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": principals}}
    with mock_aws():
        account = Account(settings)
        account.client("iam").create_role(
            RoleName=bootstrap_role_arn(settings, "deploy").rpartition("/")[2],
            AssumeRolePolicyDocument=json.dumps(
                {"Version": "2012-10-17", "Statement": [statement]}
            ),
        )
        checks = [*check_trust(account, settings)]
    assert {check.status for check in checks} == ({status} if status else set())
    if status:
        assert detail in checks[0].detail
        assert "make bootstrap ENV=staging" in checks[0].fix


def test_an_administrator_whose_role_is_gone_fails_with_the_command_that_drops_it(doctor):
    """A deleted role is listed by its ARN until it is noticed, and by a bare id afterwards."""
    admins = [exec_role_arn(settings_of("dev")), f"{ROLE}/admin", f"{ROLE}/left", "AROAEXAMPLE"]
    checks = doctor(lakeformation__get_data_lake_settings=lake(admins=admins))
    assert failed(checks) == ["administrators that are gone"]
    check = checks["administrators that are gone"]
    assert check.detail == f"AROAEXAMPLE, {ROLE}/left: a deploy ends with `Invalid principal`"
    assert f'["AROAEXAMPLE", "{ROLE}/left"]' in check.fix
    assert "put-data-lake-settings" in check.fix


def test_other_accounts_and_what_may_not_be_seen_are_no_failures(doctor):
    others = [f"arn:aws:iam::{ACCOUNT}:user/me", "arn:aws:iam::444444444444:role/theirs"]
    admins = [exec_role_arn(settings_of("dev")), *others]
    assert failed(doctor(lakeformation__get_data_lake_settings=lake(admins=admins))) == []

    checks = doctor(ssm__get_parameter="AccessDeniedException")
    assert checks["CDK bootstrap"].status == "unknown"
    assert checks["data-lake administrators"].status == "note"
    assert failed(checks) == []


def test_without_the_account_stack_who_deploys_must_be_an_administrator_already(doctor):
    role, name = exec_role_arn(settings_of("dev")), "CloudFormation's role is an administrator"
    other_admin = lake(admins=[f"{ROLE}/admin"])
    checks = doctor("account_off", lakeformation__get_data_lake_settings=other_admin)
    assert failed(checks) == [name]
    assert role in checks[name].detail
    assert role in checks[name].fix and "put-data-lake-settings" in checks[name].fix
    # The account's stack makes it one.
    assert name not in doctor("dev", lakeformation__get_data_lake_settings=other_admin)


def test_a_caller_who_may_not_see_everything_gets_a_note(doctor):
    without_caller = lake(admins=[exec_role_arn(settings_of("dev"))])
    checks = doctor(lakeformation__get_data_lake_settings=without_caller)
    shown = checks["what Lake Formation shows"]
    assert shown.status == "note"
    # Added to those that are there, and not in their place.
    assert (
        f'ReadOnlyAdmins: [not_null(ReadOnlyAdmins, `[]`), `[{{"{ID}": "{ROLE}/admin"}}]`][]'
        in (shown.fix)
    )
    assert "what Lake Formation shows" not in doctor()


@pytest.mark.parametrize(
    ("known", "detail", "fix"),
    [
        (
            TAGS | {"sashiko-sensitivity": ["none", "sensitive"]},
            "lacks pii",
            "aws lakeformation update-lf-tag --tag-key sashiko-sensitivity --tag-values-to-add pii",
        ),
        (
            {"sashiko-environment": ["dev"]},
            "lacks none, pii, sensitive",
            "aws lakeformation create-lf-tag --tag-key sashiko-sensitivity "
            "--tag-values none pii sensitive",
        ),
    ],
)
def test_a_tag_that_another_stack_should_have_made_fails(doctor, known, detail, fix):
    checks = doctor("account_off", lakeformation__list_lf_tags=tags(known))
    assert failed(checks) == ["LF-Tag sashiko-sensitivity"]
    check = checks["LF-Tag sashiko-sensitivity"]
    assert (check.detail, check.fix) == (detail, fix)
    assert checks["LF-Tag sashiko-environment"].status == "ok"
