"""A table of another owner: read by name, and neither declared, granted nor loaded here."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.app import add_stacks
from sashiko.contract.load import load_contract
from tests.infra.contracts import changed, set_custom, synthesized_with
from tests.infra.variants import deployment_of, new_app, resources, settings_of

LAKE = {
    "database": "sales", "table": "complaints_v2", "catalog": "222233334444",
    "link": {"database": "shared", "table": "complaints_v2"},
}  # fmt: skip
_ARNS = [
    "arn:aws:glue:us-east-1:111122223333:catalog",
    "arn:aws:glue:us-east-1:111122223333:database/shared",
    "arn:aws:glue:us-east-1:111122223333:table/shared/complaints_v2",
    "arn:aws:glue:us-east-1:222233334444:catalog",
    "arn:aws:glue:us-east-1:222233334444:database/sales",
    "arn:aws:glue:us-east-1:222233334444:table/sales/complaints_v2",
]


def _foreign(document: Any) -> None:
    set_custom(document, "lake", LAKE)


@pytest.fixture(scope="module")
def stacks(tmp_path_factory):
    return synthesized_with(tmp_path_factory.mktemp("existing"), _foreign)


def test_nothing_of_the_table_is_declared_granted_or_loaded(stacks):
    lake, governance = stacks["DataLake"], stacks["Governance"]
    tables = [item["Properties"]["Name"] for item in resources(lake, "AWS::Glue::Table").values()]
    assert "complaints" not in tables
    assert "census" in tables
    for kind in ("AWS::Glue::Job", "AWS::Glue::DataQualityRuleset"):
        assert all("complaints" not in json.dumps(one) for one in resources(lake, kind).values())
    locations = json.dumps(list(resources(lake, "AWS::LakeFormation::Resource").values()))
    assert '/complaints"' not in locations
    for text in ('"complaints"', "complaints_v2", "222233334444"):
        assert text not in json.dumps(governance)
    # What the model answers is ours, and as closed as ever.
    assert ('"complaints_captured"' in json.dumps(governance)) == ("complaints_captured" in tables)

    rules = resources(stacks["Pipeline"], "AWS::Events::Rule").values()
    names = [one["Properties"].get("Name", "") for one in rules]
    assert any("extract-complete" in name for name in names)
    assert not any(name.endswith("complaints-loaded") for name in names)


def test_who_reads_the_lake_sees_the_table_by_name_and_has_no_right_to_its_files(stacks):
    seeing: dict[str, list[str]] = {}
    for item in resources(stacks["DataLake"], "AWS::IAM::ManagedPolicy").values():
        seeing |= _seeing(item)
    assert {name.removeprefix("sashiko-dev-") for name in seeing} == {
        "broker", "bias-evaluator", "data-scientist",
    }  # fmt: skip
    for arns in seeing.values():
        assert set(_ARNS) <= set(arns)
        # The others are of the environment's own database.
        assert all("/sashiko_dev" in arn for arn in set(arns) - set(_ARNS))
    policies = json.dumps(resources(stacks["DataLake"], "AWS::IAM::ManagedPolicy"))
    assert policies.count("222233334444") == 3 * len(seeing)


def _seeing(policy: Any) -> dict[str, list[str]]:
    return {
        role: statement["Resource"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "complaints_v2" in json.dumps(statement["Resource"])
        for role in policy["Properties"]["Roles"]
    }


def test_an_environment_of_other_owners_tables_alone_synthesizes(tmp_path):
    path = tmp_path / "complaints.odcs.yaml"
    path.write_text(yaml.safe_dump(changed("complaints", _foreign), sort_keys=False))
    app = new_app()
    add_stacks(app, deployment_of(settings_of("dev"), contracts=(load_contract(path),)))
    files = Path(app.synth().directory).glob("*.template.json")
    stacks = {f.name.partition(".")[0]: json.loads(f.read_text()) for f in files}
    assert not resources(stacks["DataLake"], "AWS::Glue::Job")
    policies = json.dumps(resources(stacks["DataLake"], "AWS::IAM::ManagedPolicy"))
    for word in ('"sashiko-dev-etl"', '"sashiko-dev-break-glass"', "quarantine"):
        assert word not in policies
    assert not [
        one for one in resources(stacks["Pipeline"], "AWS::Events::Rule").values()
        if "aws.glue" in json.dumps(one)
    ]  # fmt: skip
    for template in stacks.values():
        for one in resources(template, "AWS::IAM::ManagedPolicy").values():
            for statement in one["Properties"]["PolicyDocument"]["Statement"]:
                assert statement["Resource"] != []
