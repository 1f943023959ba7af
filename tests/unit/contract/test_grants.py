from pathlib import Path

from sashiko.contract.grants import (
    ColumnGrant,
    FilterGrant,
    TagAssignment,
    TagGrant,
    reader_grants,
    tag_assignments,
    tag_values,
)
from sashiko.contract.model import Contract
from tests.unit.contract.documents import contract_of, document, table_of

_FILTER = {"persona": "data-scientist", "filter": " late = 'a  b' ", "columns": ["loan_id", "late"]}


def _filtered(folder: Path) -> Contract:
    edited = document()
    rows = {"property": "rowFilters", "value": [_FILTER]}
    table_of(edited)["customProperties"].append(rows)
    return contract_of(edited, folder)


def _other(folder: Path) -> Contract:
    edited = document()
    table_of(edited)["physicalName"] = "returns"
    return contract_of(edited, folder)


def test_a_table_is_pii_until_a_column_says_otherwise(tmp_path):
    tags = tag_assignments([contract_of(document(), tmp_path)], environment="dev")
    assert TagAssignment(kind="sensitivity", value="pii") in tags
    assert TagAssignment(kind="sensitivity", value="pii", table="loans") in tags
    names = ("loan_id", "lent_at", "pages", "price", "title", "late", "as_of")
    expected = dict.fromkeys(names, "none") | {"age": "sensitive"}
    assert {tag.column: tag.value for tag in tags if tag.column} == expected


def test_a_domain_is_a_tag_of_the_table_where_the_contract_says_one(tmp_path):
    without = contract_of(document(), tmp_path)
    domain = contract_of(document() | {"domain": "lending"}, tmp_path)
    assert "domain" not in tag_values([without], environments=("dev",))
    assert tag_values([domain, without], environments=("dev",))["domain"] == ("lending",)
    tags = tag_assignments([domain], environment="dev")
    assert [tag for tag in tags if tag.kind == "domain"] == [
        TagAssignment(kind="domain", value="lending", table="loans")
    ]


def test_every_expression_carries_the_environment(tmp_path):
    grants = reader_grants([contract_of(document(), tmp_path)], environment="dev")
    expressions = [dict(grant.expression) for grant in grants if isinstance(grant, TagGrant)]
    assert len(expressions) == len(grants) == 6
    assert all(expression["environment"] == ("dev",) for expression in expressions)


def test_who_has_a_row_filter_gets_it_and_other_tables_by_name(tmp_path):
    grants = reader_grants([_filtered(tmp_path), _other(tmp_path)], environment="dev")
    mine = [grant for grant in grants if grant.persona == "data-scientist"]
    assert [grant for grant in mine if isinstance(grant, FilterGrant)] == [
        FilterGrant(
            persona="data-scientist",
            table="loans",
            filter="late = 'a  b'",
            columns=("loan_id", "late", "as_of"),
        )
    ]
    named = {(grant.table, grant.column) for grant in mine if isinstance(grant, ColumnGrant)}
    assert named == {
        ("returns", name)
        for name in ("loan_id", "lent_at", "pages", "price", "title", "late", "as_of")
    }
    tagged = [grant for grant in mine if isinstance(grant, TagGrant)]
    assert [grant.permission for grant in tagged] == ["DESCRIBE"]
