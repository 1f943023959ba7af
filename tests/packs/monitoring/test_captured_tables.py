"""The table of captured requests in the lake."""

import json

from sashiko_packs.monitoring.capture.record import row_schema
from tests.infra.variants import contracts_of, settings_of, some


def test_answered_requests_are_a_table_whose_every_column_is_pii(templates):
    """Derived from the contract and the rows that ReadCapture writes; nobody is granted it."""
    (contract,) = (c for c in contracts_of(settings_of("dev")) if c.table == "complaints")
    (table,) = (
        item["Properties"]["TableInput"]
        for item in some(templates("dev")["DataLake"], "AWS::Glue::Table").values()
        if item["Properties"]["TableInput"]["Name"] == "complaints_captured"
    )
    storage = table["StorageDescriptor"]
    schema = row_schema(contract.text_columns)
    types = {column["Name"]: column["Type"] for column in storage["Columns"]}
    assert list(types) == schema.names
    assert types["input"] == f"struct<{','.join(f'{n}:string' for n in contract.text_columns)}>"
    group = "sashiko-dev-complaint-triage"
    bucket = "sashiko-dev-capture-111122223333-us-east-1"
    assert storage["Location"] == f"s3://{bucket}/monitor/{group}/"
    tags = [
        item["Properties"]
        for item in some(
            templates("dev")["Governance"], "AWS::LakeFormation::TagAssociation"
        ).values()
        if "complaints_captured" in json.dumps(item["Properties"]["Resource"])
    ]
    assert [tag for tag in tags if "TableWithColumns" in tag["Resource"]] == []
    values = {tag["LFTags"][0]["TagKey"]: tag["LFTags"][0]["TagValues"] for tag in tags}
    assert values["sashiko-sensitivity"] == ["pii"]
    assert values["sashiko-environment"] == ["dev"]
