"""What must never be is detected in small lakes, each with one thing broken."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.infra import never
from tests.infra.variants import settings_of
from tests.unit.account.small_lake import COLUMNS, SmallLake

Break = Callable[[SmallLake], None]
CLASSES = {("people", column): sensitivity for column, sensitivity in COLUMNS.items()}


def test_what_must_never_be_is_not(tmp_path):
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


def _registrar_approves(lake: SmallLake) -> None:
    lake.allow("registrar", ["sagemaker:UpdateModelPackage"], ["*"])


def _registrar_creates_approved_packages(lake: SmallLake) -> None:
    lake.allow("registrar", ["sagemaker:*ModelPackage"], ["*"])


def _approver_registers(lake: SmallLake) -> None:
    lake.allow("approver", ["sagemaker:CreateModelPackage"], ["*"])


ml_reading_pii = partial(never.ml_reading_pii, classes=CLASSES)
others_reading_sensitive = partial(never.others_reading_sensitive, classes=CLASSES)


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        (ml_reading_pii, _broker_reads_pii),
        (ml_reading_pii, _filter_shows_pii),
        (ml_reading_pii, _bucket_is_open_to_the_scientist),
        (ml_reading_pii, _bucket_policy_exempts_the_broker),
        (ml_reading_pii, _bucket_policy_allows_the_scientist),
        (others_reading_sensitive, _broker_reads_sensitive),
        (others_reading_sensitive, _bucket_is_open_to_the_scientist),
        (never.ways_of_training_to_the_lake, _training_reads_objects),
        (never.ways_of_training_to_the_lake, _training_queries),
        (never.ways_of_training_to_the_lake, _training_becomes_etl),
        (never.ways_of_training_to_the_lake, _training_becomes_etl_by_the_account),
        (never.ways_of_training_to_the_lake, _training_starts_jobs_as_etl),
        (never.registering_and_approving, _registrar_approves),
        (never.registering_and_approving, _registrar_creates_approved_packages),
        (never.registering_and_approving, _approver_registers),
    ],
)
def test_what_must_never_be_is_detected(tmp_path, rule, broken):
    lake = SmallLake()
    broken(lake)
    assert rule(lake.read(tmp_path))


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


def test_no_dev_role_reads_prods_lake(tmp_path):
    assert _two_environments(tmp_path, keyed=True) == set()


def test_a_grant_without_its_environment_reads_prods_lake(tmp_path):
    assert _two_environments(tmp_path, keyed=False) == {"broker"}
