"""The Glue jobs: what they run, with what, and what they may touch."""

import json

import pytest

from sashiko.contract.glue_job.spec import parse_spec
from tests.infra.variants import contracts_of, named, settings_of, some, synthesized

ASSETS = "s3://cdk-sashiko-assets-111122223333-us-east-1/"


@pytest.fixture
def lake(templates):
    return templates("dev")["DataLake"]


@pytest.fixture
def jobs(lake):
    return named(lake, "AWS::Glue::Job", "Name")


def _asset(uri):
    """The staged file or folder that is uploaded as `uri`."""
    name = uri.removeprefix(ASSETS)
    staged = synthesized("dev") / f"asset.{name.removesuffix('.zip')}"
    assert staged.exists(), uri
    return staged


def test_each_contract_has_a_job_and_a_ruleset_of_one_name(lake, jobs):
    names = {f"sashiko-dev-etl-{c.table}" for c in contracts_of(settings_of("dev"))}
    assert set(jobs) == set(named(lake, "AWS::Glue::DataQualityRuleset", "Name")) == names


@pytest.mark.control("Glue.4")
def test_a_job_runs_once_at_a_time_encrypted_and_remembers_nothing(lake, jobs):
    (security,) = named(lake, "AWS::Glue::SecurityConfiguration", "Name")
    for job in jobs.values():
        assert job["SecurityConfiguration"] == security
        assert job["GlueVersion"] == "5.0"
        assert job["WorkerType"] == "G.1X"
        assert job["ExecutionProperty"] == {"MaxConcurrentRuns": 1}
        assert job["MaxRetries"] == 0
        assert job["Timeout"] <= 60
        assert job["Role"].endswith(":role/sashiko-dev-etl")
        assert job["DefaultArguments"]["--job-bookmark-option"] == "job-bookmark-disable"


def test_a_job_reads_and_writes_where_the_table_lies(lake, jobs):
    arguments = jobs["sashiko-dev-etl-census"]["DefaultArguments"]
    assert arguments["--raw"] == "s3://sashiko-dev-raw-111122223333-us-east-1"
    tables = some(lake, "AWS::Glue::Table").values()
    locations = [t["Properties"]["TableInput"]["StorageDescriptor"]["Location"] for t in tables]
    assert f"{arguments['--curated']}/census/" in locations
    assert arguments["--quarantine"] == f"{arguments['--curated']}/quarantine"
    assert "--as-of" not in arguments, "which extract is loaded is for each run to say"


def test_the_spec_blocks_on_the_ruleset_that_glue_shows(lake, jobs):
    rulesets = named(lake, "AWS::Glue::DataQualityRuleset", "Name")
    for name, job in jobs.items():
        spec = parse_spec(_asset(job["DefaultArguments"]["--spec"]).read_text())
        assert name.endswith(f"-{spec.table}")
        assert spec.ruleset == rulesets[name]["Ruleset"]


def test_the_package_is_the_glue_jobs_code_and_nothing_else(jobs):
    job = jobs["sashiko-dev-etl-census"]
    assert (
        "sashiko.contract.glue_job.table_load"
        in _asset(job["Command"]["ScriptLocation"]).read_text()
    )
    package = _asset(job["DefaultArguments"]["--extra-py-files"])
    files = {str(file.relative_to(package)) for file in package.rglob("*") if file.is_file()}
    assert {
        "sashiko/__init__.py",
        "sashiko/contract/glue_job/table_load.py",
        "sashiko/contract/glue_job/transform.py",
    } < files
    parents = {"sashiko/__init__.py", "sashiko/contract/__init__.py"}
    assert all(f in parents or f.startswith("sashiko/contract/glue_job/") for f in files)
    assert all(f.endswith(".py") for f in files)


def test_the_role_may_read_every_file_that_a_job_names(lake, jobs):
    policies = some(lake, "AWS::IAM::ManagedPolicy").values()
    attached = [
        p["Properties"] for p in policies if p["Properties"]["Roles"] == ["sashiko-dev-etl"]
    ]
    allowed = json.dumps([policy["PolicyDocument"] for policy in attached])
    for job in jobs.values():
        arguments = job["DefaultArguments"]
        uris = (
            job["Command"]["ScriptLocation"],
            arguments["--spec"],
            arguments["--extra-py-files"],
        )
        for uri in uris:
            assert f'"arn:aws:s3:::{uri.removeprefix("s3://")}"' in allowed
        groups = arguments["--custom-logGroup-prefix"]
        assert f"log-group:{groups}*" in allowed
        assert "sashiko-dev-" in groups, "the logs' key is for groups of this environment alone"
