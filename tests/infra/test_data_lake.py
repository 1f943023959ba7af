"""The lake's tables, locations and ways in: what must hold of them in any environment."""

import json

import pytest

from tests.infra.lake_grants import policy_text, role_of
from tests.infra.variants import (
    VARIANTS,
    contracts_of,
    of_pack,
    resources,
    settings_of,
    some,
    synthesized,
)


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_value_crosses_stacks_by_export(templates, variant):
    """CloudFormation refuses to change one in use: what changes would deploy once."""
    text = json.dumps(templates(variant))
    assert "Fn::ImportValue" not in text and '"Export"' not in text


def loaded_tables(template):
    tables = some(template, "AWS::Glue::Table").values()
    return [t for t in tables if not _name(t).endswith(("_captured", "_answers"))]


def _name(table):
    return table["Properties"]["TableInput"]["Name"]


def test_a_table_is_what_its_contract_says(templates):
    tables = loaded_tables(templates("dev")["DataLake"])
    inputs = {_name(t): t["Properties"]["TableInput"] for t in tables}
    contracts = {contract.table: contract for contract in contracts_of(settings_of("dev"))}
    assert set(inputs) == set(contracts)
    for name, table in inputs.items():
        columns = table["StorageDescriptor"]["Columns"]
        assert [c["Name"] for c in columns] == [c.name for c in contracts[name].columns]
        assert all(c["Type"] and c["Comment"] for c in columns)
        assert [key["Name"] for key in table["PartitionKeys"]] == ["as_of"]


def test_a_query_must_name_its_load_and_no_crawler_finds_partitions(templates):
    lake = templates("dev")["DataLake"]
    assert not resources(lake, "AWS::Glue::Crawler")
    for table in loaded_tables(lake):
        table_input = table["Properties"]["TableInput"]
        parameters = table_input["Parameters"]
        assert parameters["projection.enabled"] == "true"
        assert parameters["projection.as_of.type"] == "injected"
        location = table_input["StorageDescriptor"]["Location"]
        assert location == f"s3://sashiko-dev-curated-111122223333-us-east-1/{table_input['Name']}/"
        assert parameters["storage.location.template"] == f"{location}as_of=${{as_of}}/"


@pytest.mark.control("broken-type")
def test_tables_are_parquet_and_never_iceberg(templates):
    """An update of an Iceberg table strips its metadata."""
    for table in some(templates("dev")["DataLake"], "AWS::Glue::Table").values():
        table_input = table["Properties"]["TableInput"]
        assert "OpenTableFormatInput" not in table["Properties"]
        assert "iceberg" not in json.dumps(table_input).lower()
        storage = table_input["StorageDescriptor"]
        assert table_input["Parameters"]["classification"] == "parquet"
        assert "parquet" in storage["InputFormat"] and "parquet" in storage["OutputFormat"]
        assert "parquet" in storage["SerdeInfo"]["SerializationLibrary"]


@pytest.mark.parametrize("variant", ["dev", "iam_only", "prod"])
def test_no_resource_is_of_a_type_that_cloudformation_breaks_under_lake_formation(
    templates, variant
):
    kinds = {r["Type"] for t in templates(variant).values() for r in t["Resources"].values()}
    assert not [kind for kind in kinds if kind.startswith("AWS::S3Tables::")]


def test_nobody_gets_a_new_table_by_default(templates):
    def defaults(variant):
        (database,) = resources(templates(variant)["DataLake"], "AWS::Glue::Database").values()
        return database["Properties"]["DatabaseInput"]["CreateTableDefaultPermissions"]

    assert defaults("dev") == defaults("account_off") == []
    (privilege,) = defaults("iam_only")
    assert privilege["Principal"]["DataLakePrincipalIdentifier"] == "IAM_ALLOWED_PRINCIPALS"


def test_only_tables_are_registered_and_with_our_own_role(templates):
    locations = resources(templates("dev")["DataLake"], "AWS::LakeFormation::Resource").values()
    bucket = "arn:aws:s3:::sashiko-dev-curated-111122223333-us-east-1"
    arns = {location["Properties"]["ResourceArn"] for location in locations}
    answers = of_pack("batch", f"{bucket}/complaints_answers")
    assert arns == {f"{bucket}/complaints", f"{bucket}/census"} | answers
    for location in locations:
        properties = location["Properties"]
        assert properties["UseServiceLinkedRole"] is False
        assert properties["HybridAccessEnabled"] is False
        assert properties["RoleArn"].endswith(":role/sashiko-dev-lake-formation")


def test_the_registered_role_may_decrypt_and_read_the_tables_and_not_what_was_rejected(templates):
    text = policy_text(templates("dev")["DataLake"], "lake-formation")
    # A pack's own policy decrypts for its tables alone, in a project that has the pack.
    (own,) = [one for one in json.loads(text) if "/complaints/*" in json.dumps(one)]
    assert "kms:Decrypt" in json.dumps(own)
    for word in ("quarantine", "-raw-", "-snapshots-", "s3:Put", "s3:Delete"):
        assert word not in text, word


def test_a_table_waits_for_the_registration_of_its_location(templates):
    lake = templates("dev")["DataLake"]
    locations = resources(lake, "AWS::LakeFormation::Resource")
    for table in loaded_tables(lake):
        name = _name(table)
        (waits,) = (locations[logical] for logical in table["DependsOn"] if logical in locations)
        assert waits["Properties"]["ResourceArn"].endswith(f"/{name}")


@pytest.mark.parametrize("variant", ["dev", "prod", "account_off"])
def test_the_deploying_role_is_granted_nothing(templates, variant):
    """An administrator and creator has it, and to grant what is there fails the first deploy."""
    for stack in templates(variant).values():
        for grant in resources(stack, "AWS::LakeFormation::PrincipalPermissions").values():
            assert "-cfn-exec-role-" not in role_of(grant["Properties"])


def test_no_grant_stays_behind_where_the_next_deploy_would_meet_it(templates):
    grants = [
        grant
        for variant in ("dev", "prod")
        for stack in templates(variant).values()
        for grant in resources(stack, "AWS::LakeFormation::PrincipalPermissions").values()
    ]
    assert grants
    assert {grant.get("DeletionPolicy", "Delete") for grant in grants} == {"Delete"}


def test_a_workgroup_decides_where_results_go_and_under_which_key(templates):
    groups = resources(templates("dev")["DataLake"], "AWS::Athena::WorkGroup").values()
    places = {}
    for group in groups:
        configuration = group["Properties"]["WorkGroupConfiguration"]
        assert configuration["EnforceWorkGroupConfiguration"] is True
        result = configuration["ResultConfiguration"]
        assert result["EncryptionConfiguration"]["EncryptionOption"] == "SSE_KMS"
        key = json.dumps(result["EncryptionConfiguration"]["KmsKey"])
        places[group["Properties"]["Name"]] = (result["OutputLocation"], key)
    views = {f"sashiko-dev-snapshots-{view}": f"{view}/athena/" for view in ("training", "facets")}
    assert set(places) == {*views, "sashiko-dev-exploration"}
    for name, folder in views.items():
        output, key = places[name]
        assert output == f"s3://sashiko-dev-snapshots-111122223333-us-east-1/{folder}"
        assert key != places["sashiko-dev-exploration"][1]


@pytest.mark.parametrize(("view", "role"), [("training", "broker"), ("facets", "bias-evaluator")])
def test_only_who_takes_a_views_snapshots_may_use_its_workgroup(templates, view, role):
    lake = templates("dev")["DataLake"]
    users = {
        policy["Properties"]["Roles"][0]
        for policy in some(lake, "AWS::IAM::ManagedPolicy").values()
        if f"workgroup/sashiko-dev-snapshots-{view}" in json.dumps(policy)
    }
    assert users == {f"sashiko-dev-{role}"}


@pytest.mark.parametrize(
    ("variant", "policy"), [("dev", "Delete"), ("prod", "RetainExceptOnCreate")]
)
@pytest.mark.control("retain")
def test_one_setting_says_what_outlives_the_stack(templates, variant, policy):
    lake = templates(variant)["DataLake"]
    # A policy and an alias stay with what they guard and name.
    stores = (
        "S3::Bucket",
        "S3::BucketPolicy",
        "KMS::Key",
        "KMS::Alias",
        "Glue::Database",
        "Glue::Table",
    )
    for kind in stores:
        for logical, resource in some(lake, f"AWS::{kind}").items():
            assert resource["DeletionPolicy"] == policy, logical
            # A replaced one was never made by the operation that replaces it.
            kept = policy.removesuffix("ExceptOnCreate")
            assert resource["UpdateReplacePolicy"] == kept, logical
    manifest = json.loads((synthesized(variant) / "manifest.json").read_text())
    protected = manifest["artifacts"]["DataLake"]["properties"].get("terminationProtection")
    assert bool(protected) == (policy == "RetainExceptOnCreate")


def test_the_roles_come_before_the_lake_and_the_lake_before_its_grants():
    stacks = json.loads((synthesized("dev") / "manifest.json").read_text())["artifacts"]
    assert "LakeFormationAccount" in stacks["Network"]["dependencies"]
    assert "Network" in stacks["DataLake"]["dependencies"]
    assert "DataLake" in stacks["Governance"]["dependencies"]
    # The function that changes the settings has its role in Identity.
    assert "Identity" in stacks["LakeFormationAccount"]["dependencies"]


def test_who_writes_may_list_uploads_which_know_no_prefix(templates):
    """A condition on a key that a call lacks never holds: the permission would be none."""
    for policy in some(templates("dev")["DataLake"], "AWS::IAM::ManagedPolicy").values():
        statements = policy["Properties"]["PolicyDocument"]["Statement"]
        listing = [s for s in statements if "s3:ListBucketMultipartUploads" in s["Action"]]
        assert [s for s in listing if "Condition" in s] == []
        writes = any("s3:PutObject" in s["Action"] for s in statements)
        assert bool(listing) <= writes
    broker = policy_text(templates("dev")["DataLake"], "broker")
    assert "s3:ListBucketMultipartUploads" in broker
