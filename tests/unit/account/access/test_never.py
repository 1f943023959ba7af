"""What must never be is detected in small lakes, each with one thing broken."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.infra import never
from tests.infra.variants import settings_of
from tests.unit.account.small_lake import COLUMNS, SmallLake

Break = Callable[[SmallLake], None]
CLASSES = {("people", column): sensitivity for column, sensitivity in COLUMNS.items()}


def test_what_must_never_be_is_not(tmp_path: Path) -> None:
    environment = SmallLake().read(tmp_path)
    assert never.ml_reading_pii(environment, CLASSES) == set()
    assert never.others_reading_sensitive(environment, CLASSES) == set()
    assert never.ways_of_training_to_the_lake(environment) == set()
    assert never.registering_and_approving(environment) == set()


def _broker_reads_sensitive(lake: SmallLake) -> None:
    lake.properties("Grantbroker")["Resource"] = lake.by_tags("none", "sensitive")


def _broker_reads_pii(lake: SmallLake) -> None:
    lake.properties("Grantbroker")["Resource"] = lake.by_tags("none", "pii")


def _filter_shows_pii(lake: SmallLake) -> None:
    lake.properties("Filter")["ColumnNames"] = ["id", "name"]


def _bucket_is_open_to_the_scientist(lake: SmallLake) -> None:
    lake.allow("data-scientist", ["s3:Get*"], ["*"])
    del lake.resources["CuratedPolicy"]


def _bucket_policy_exempts_the_broker(lake: SmallLake) -> None:
    lake.allow("broker", ["s3:GetObject"], [f"arn:aws:s3:::{lake.curated}/people/as_of=2026*"])
    statement = lake.properties("CuratedPolicy")["PolicyDocument"]["Statement"][0]
    statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"].append(lake.role("broker"))


def _bucket_policy_allows_the_scientist(lake: SmallLake) -> None:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": lake.role("data-scientist")},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{lake.curated}/*",
    }
    lake.properties("CuratedPolicy")["PolicyDocument"]["Statement"] = [statement]


@pytest.mark.parametrize(
    "broken",
    [
        _broker_reads_pii,
        _filter_shows_pii,
        _bucket_is_open_to_the_scientist,
        _bucket_policy_exempts_the_broker,
        _bucket_policy_allows_the_scientist,
    ],
)
def test_a_way_of_an_ml_role_to_pii_is_detected(tmp_path: Path, broken: Break) -> None:
    lake = SmallLake()
    broken(lake)
    assert never.ml_reading_pii(lake.read(tmp_path), CLASSES)


@pytest.mark.parametrize("broken", [_broker_reads_sensitive, _bucket_is_open_to_the_scientist])
def test_another_reader_of_sensitive_columns_is_detected(tmp_path: Path, broken: Break) -> None:
    lake = SmallLake()
    broken(lake)
    assert never.others_reading_sensitive(lake.read(tmp_path), CLASSES)


def _training_reads_objects(lake: SmallLake) -> None:
    lake.allow("training", ["s3:GetObject"], [f"arn:aws:s3:::{lake.curated}/quarantine/*"])
    del lake.resources["CuratedPolicy"]


def _training_queries(lake: SmallLake) -> None:
    lake.allow("training", ["glue:*", "athena:*", "lakeformation:GetDataAccess"], ["*"])
    lake.grant("More", "training", "SELECT", lake.by_tags("none"))


def _training_becomes_etl(lake: SmallLake) -> None:
    trust = lake.properties("Roleetl")["AssumeRolePolicyDocument"]
    trust["Statement"][0]["Principal"] = {"AWS": lake.role("training")}


def _training_becomes_etl_by_the_account(lake: SmallLake) -> None:
    _training_becomes_etl(lake)
    trust = lake.properties("Roleetl")["AssumeRolePolicyDocument"]
    trust["Statement"][0]["Principal"] = {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}
    lake.allow("training", ["sts:AssumeRole"], ["*"])


def _training_starts_jobs_as_etl(lake: SmallLake) -> None:
    lake.allow("training", ["iam:PassRole"], [lake.role("etl")])


@pytest.mark.parametrize(
    "broken",
    [
        _training_reads_objects,
        _training_queries,
        _training_becomes_etl,
        _training_becomes_etl_by_the_account,
        _training_starts_jobs_as_etl,
    ],
)
def test_a_way_of_training_to_the_lake_is_detected(tmp_path: Path, broken: Break) -> None:
    lake = SmallLake()
    broken(lake)
    assert never.ways_of_training_to_the_lake(lake.read(tmp_path))


def _registrar_approves(lake: SmallLake) -> None:
    lake.allow("registrar", ["sagemaker:UpdateModelPackage"], ["*"])


def _registrar_creates_approved_packages(lake: SmallLake) -> None:
    lake.allow("registrar", ["sagemaker:*ModelPackage"], ["*"])


def _approver_registers(lake: SmallLake) -> None:
    lake.allow("approver", ["sagemaker:CreateModelPackage"], ["*"])


@pytest.mark.parametrize(
    "broken", [_registrar_approves, _registrar_creates_approved_packages, _approver_registers]
)
def test_one_who_registers_and_approves_is_detected(tmp_path: Path, broken: Break) -> None:
    lake = SmallLake()
    broken(lake)
    assert never.registering_and_approving(lake.read(tmp_path))


def _two_environments(tmp_path: Path, *, keyed: bool) -> set[str]:
    """Dev's roles, whose grants carry their environment or not, before prod's lake."""
    dev = SmallLake()
    if not keyed:
        for role in ("broker", "bias-evaluator"):
            expression = dev.by_tags("none", environment="")
            dev.properties(f"Grant{role}")["Resource"] = expression
    prod = SmallLake(settings_of("prod").model_copy(update={"account": dev.settings.account}))
    prod.properties("TagsDatabase")["LFTags"][1]["TagValues"] = ["prod"]
    for role in ("broker", "bias-evaluator"):
        prod.properties(f"Grant{role}")["Resource"] = prod.by_tags("none", environment="prod")
    for policy in (prod, dev):  # IAM that does not stop anybody: the tags alone must do it
        policy.allow("broker", ["glue:*"], ["*"])
    return never.reading_elsewhere(dev.read(tmp_path / "dev"), prod.read(tmp_path / "prod"))


def test_no_dev_role_reads_prods_lake(tmp_path: Path) -> None:
    assert _two_environments(tmp_path, keyed=True) == set()


def test_a_grant_without_its_environment_reads_prods_lake(tmp_path: Path) -> None:
    assert _two_environments(tmp_path, keyed=False) == {"broker"}
