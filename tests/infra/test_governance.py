"""Who may read what, decided from the templates as Lake Formation decides it."""

from collections import Counter

import pytest

from sashiko.contract.glue import AS_OF
from tests.infra.contracts import column_of, mortgages, synthesized_with, table_of
from tests.infra.lake_grants import Column, granted, readers, role_of, tags_of
from tests.infra.variants import all_before, contracts_of, of_pack, resources, settings_of, some

READS = {
    "none": {"sashiko-dev-broker", "sashiko-dev-bias-evaluator", "sashiko-dev-data-scientist"},
    "sensitive": {"sashiko-dev-bias-evaluator"},
    "pii": set(),
}


@pytest.fixture(scope="module")
def filtered(tmp_path_factory):
    """Stack -> template, where a reader has a row filter."""
    return synthesized_with(tmp_path_factory.mktemp("filtered"), mortgages())


def _columns():
    contracts = contracts_of(settings_of("dev"))
    return [(contract.table, column) for contract in contracts for column in contract.columns]


@pytest.mark.control("AC-4")
def test_each_column_is_read_by_whom_its_classification_lets_and_by_nobody_else(templates):
    governance = templates("dev")["Governance"]
    for table, column in _columns():
        roles = readers(governance, governance, Column("sashiko_dev", table, column.name))
        assert set(roles) == READS[column.classification], (table, column.name)
        assert set(roles.values()) <= {"tags"}


def test_every_column_carries_one_sensitivity_and_the_load_is_read_by_every_reader(templates):
    governance = templates("dev")["Governance"]
    for table in ("complaints", "census"):
        roles = readers(governance, governance, Column("sashiko_dev", table, AS_OF))
        assert set(roles) == READS["none"]

    for table, column in _columns():
        tags = tags_of(governance, Column("sashiko_dev", table, column.name))
        assert tags["sashiko-sensitivity"] == column.classification
        assert tags["sashiko-environment"] == "dev"


@pytest.mark.control("tag-environment")
def test_no_principal_of_dev_matches_a_column_of_prod_in_the_same_account(templates):
    dev, prod = templates("dev")["Governance"], templates("prod")["Governance"]
    for table, column in [*_columns(), ("a_new_table", None)]:
        place = Column("sashiko_prod", table, column.name if column else "anything")
        assert readers(dev, prod, place) == {}, place
    assert tags_of(prod, Column("sashiko_prod", "complaints", "product")) != {}


@pytest.mark.parametrize("table", ["complaints", "census", "a_table_that_nobody_declared"])
def test_a_column_that_no_contract_declares_is_pii_and_read_by_nobody(templates, table):
    governance = templates("dev")["Governance"]
    undeclared = Column("sashiko_dev", table, "undeclared")
    assert tags_of(governance, undeclared)["sashiko-sensitivity"] == "pii"
    assert readers(governance, governance, undeclared) == {}


def test_a_reader_with_a_row_filter_reads_that_table_through_it_alone(tmp_path):
    governance = synthesized_with(tmp_path, mortgages("complaint_id", "product"))["Governance"]
    person = "sashiko-dev-data-scientist"

    def ways(table, name):
        return readers(governance, governance, Column("sashiko_dev", table, name)).get(person)

    assert {name: ways("complaints", name) for name in ("complaint_id", "product", AS_OF)} == {
        "complaint_id": "filter",
        "product": "filter",
        AS_OF: "filter",
    }
    assert ways("complaints", "complaint_text") is None
    assert ways("complaints", "customer_gender") is None
    assert (ways("census", "education"), ways("census", "gender")) == ("name", None)
    policies = [
        grant
        for grant in granted(governance)
        if role_of(grant) == person and "LFTagPolicy" in grant["Resource"]
    ]
    assert [grant["Permissions"] for grant in policies] == [["DESCRIBE"]]
    others = readers(governance, governance, Column("sashiko_dev", "complaints", "product"))
    assert others["sashiko-dev-broker"] == "tags"


def test_each_grant_is_one_permission_of_one_principal_on_one_kind_of_resource(templates):
    grants = granted(templates("dev")["Governance"]) + granted(templates("dev")["DataLake"])
    for grant in grants:
        assert len(grant["Permissions"]) == len(grant["Resource"]) == 1
        assert grant["PermissionsWithGrantOption"] == []
    counts = Counter(
        (role_of(grant), *grant["Permissions"], str(grant["Resource"])) for grant in grants
    )
    assert set(counts.values()) == {1}


def test_each_association_is_one_value_of_one_key_on_one_kind_of_resource(templates):
    associations = some(templates("dev")["Governance"], "AWS::LakeFormation::TagAssociation")
    pairs = Counter()
    for association in associations.values():
        (tag,) = association["Properties"]["LFTags"]
        assert len(tag["TagValues"]) == len(association["Properties"]["Resource"]) == 1
        pairs[tag["TagKey"], str(association["Properties"]["Resource"])] += 1
    assert set(pairs.values()) == {1}


def test_another_order_of_the_contracts_changes_no_resource(templates, tmp_path):
    reordered = synthesized_with(tmp_path, lambda _: None, reverse=True)["Governance"]
    before = templates("dev")["Governance"]["Resources"]
    assert {k: v["Properties"] for k, v in reordered["Resources"].items()} == {
        k: v["Properties"] for k, v in before.items()
    }


def test_a_new_column_adds_its_tag_and_touches_nothing_else(templates, tmp_path):
    def add(document):
        new = {"name": "branch", "description": "Where.", "logicalType": "string"}
        table_of(document)["properties"].append(new | {"classification": "none"})

    before = templates("dev")["Governance"]["Resources"]
    after = synthesized_with(tmp_path, add)["Governance"]["Resources"]
    assert set(before) < set(after)
    (new,) = set(after) - set(before)
    assert after[new]["Properties"]["Resource"]["TableWithColumns"]["ColumnNames"] == ["branch"]


def test_what_becomes_pii_loses_its_tag_and_touches_nothing_else(templates, tmp_path):
    def hide(document):
        column_of(document, "received_at")["classification"] = "pii"
        split = {"kind": "text_hash", "validation_share": 0.2, "test_share": 0.2}
        for prop in table_of(document)["customProperties"]:
            if prop["property"] == "split":
                prop["value"] = split

    before = templates("dev")["Governance"]["Resources"]
    after = synthesized_with(tmp_path, hide)["Governance"]["Resources"]
    assert set(after) < set(before)
    (gone,) = set(before) - set(after)
    assert "received_at" in str(before[gone]["Properties"])


def test_another_row_filter_is_another_resource_under_another_name(tmp_path):
    filters_by_row = []
    for columns in (("complaint_id", "product"), ("complaint_id", "product", "channel")):
        folder = tmp_path / str(len(columns))
        folder.mkdir()
        filters_by_row.append(synthesized_with(folder, mortgages(*columns))["Governance"])
    names = [resources(t, "AWS::LakeFormation::DataCellsFilter") for t in filters_by_row]
    assert names[0].keys().isdisjoint(names[1])
    filters = [next(iter(data_filters.values()))["Properties"]["Name"] for data_filters in names]
    assert filters[0] != filters[1]
    changed = set(filters_by_row[0]["Resources"]) ^ set(filters_by_row[1]["Resources"])
    assert len(changed) == 6  # filter, grant and the look before them; twice


def test_all_tags_are_there_before_any_grant_and_a_filter_before_its_grant(filtered):
    governance = filtered["Governance"]
    tags = set(resources(governance, "AWS::LakeFormation::TagAssociation"))
    filters = resources(governance, "AWS::LakeFormation::DataCellsFilter")
    (data_filter,) = filters.values()
    assert data_filter["Properties"]["RowFilter"] == {"FilterExpression": "product = 'Mortgage'"}
    assert tags
    for logical, grant in some(governance, "AWS::LakeFormation::PrincipalPermissions").items():
        assert tags <= all_before(governance, logical)
        if "DataCellsFilter" in grant["Properties"]["Resource"]:
            assert set(filters) <= all_before(governance, logical)


CHANGES = ("PrincipalPermissions", "DataCellsFilter", "Resource", "Tag", "TagAssociation")


def test_changes_of_the_lake_come_one_after_the_other(filtered):
    """Lake Formation refuses two at once, and CloudFormation takes for failed what it granted."""
    for stack in ("LakeFormationAccount", "DataLake", "Governance"):
        template = filtered[stack]
        ids = {
            logical
            for kind in CHANGES
            for logical in resources(template, f"AWS::LakeFormation::{kind}")
        }
        assert len(ids) >= 2
        # One after the other: each waits for exactly those that come before it.
        waits = sorted(len(all_before(template, logical) & ids) for logical in ids)
        assert waits == list(range(len(ids))), stack


def test_nothing_is_tagged_or_granted_before_the_check_that_the_lake_is_closed(templates):
    answers = of_pack("batch", "complaints_answers")
    for stack, tables in (
        ("DataLake", ""),
        ("Governance", " ".join(["census", "complaints", *answers, "complaints_captured"])),
    ):
        template = templates("dev")[stack]
        ((check, resource),) = resources(template, "Custom::ClosedLake").items()
        assert resource["Properties"]["Database"] == "sashiko_dev"
        assert resource["Properties"]["Tables"] == tables
        for kind in CHANGES:
            for logical in resources(template, f"AWS::LakeFormation::{kind}"):
                assert check in all_before(template, logical), logical
    lake = templates("dev")["DataLake"]
    ((check, _),) = resources(lake, "Custom::ClosedLake").items()
    (database,) = resources(lake, "AWS::Glue::Database")
    assert database in all_before(lake, check)
    # A refused deploy rolls back, and a bucket that something wrote to could not be deleted.
    (logs,) = (
        name
        for name, bucket in resources(lake, "AWS::S3::Bucket").items()
        if "LoggingConfiguration" not in bucket["Properties"]
    )
    assert check in all_before(lake, logs)
    for bucket in resources(lake, "AWS::S3::Bucket").values():
        logging = bucket["Properties"].get("LoggingConfiguration")
        assert logging is None or logging["DestinationBucketName"] == {"Ref": logs}


def test_another_grant_is_checked_anew(templates, filtered):
    both = (templates("dev")["Governance"], filtered["Governance"])
    checks = [set(resources(template, "Custom::ClosedLake")) for template in both]
    assert checks[0].isdisjoint(checks[1])


def test_who_looks_whether_the_lake_is_open_is_granted_nothing(templates):
    for template in templates("dev").values():
        for grant in granted(template):
            assert not role_of(grant).endswith("-lake-probe")


def test_the_etl_may_change_and_fill_its_tables_but_not_read_or_drop_them(templates):
    grants = [g for g in granted(templates("dev")["Governance"]) if role_of(g).endswith("-etl")]
    permissions = {(*grant["Permissions"], *grant["Resource"]) for grant in grants}
    assert permissions == {
        ("DESCRIBE", "Database"),
        ("ALTER", "Table"),
        ("DESCRIBE", "Table"),
        ("INSERT", "Table"),
        ("DATA_LOCATION_ACCESS", "DataLocation"),
    }


def test_under_iam_only_nothing_of_lake_formation_is_left(templates):
    stacks = templates("iam_only")
    assert set(stacks) >= {"Identity", "DataLake"}
    assert not {"Governance", "LakeFormationAccount"} & set(stacks)
    kinds = {r["Type"] for template in stacks.values() for r in template["Resources"].values()}
    assert not [kind for kind in kinds if kind.startswith("AWS::LakeFormation")]
