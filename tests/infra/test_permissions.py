"""Who reads what in the environments as they are synthesized."""

import functools
from dataclasses import replace

import pytest

from sashiko.account.access.environment_access import Environment, permission_matrix
from sashiko.commands.permissions import text
from tests.golden.parts import read_parts
from tests.golden.rewrite import access
from tests.infra import never
from tests.infra.variants import contracts_of, environment_of, settings_of

ENVIRONMENTS = ("dev", "prod")


@functools.cache
def environment(variant: str) -> Environment:
    return environment_of(variant)


@pytest.mark.parametrize("variant", ENVIRONMENTS)
def test_the_matrix_is_the_one_that_was_reviewed(variant: str) -> None:
    golden = read_parts(f"permissions.{variant}.json")
    current = {group: entries for group, entries in access(variant).items() if entries}
    assert current == golden, "run `make golden`, review the diff"


def test_the_command_prints_the_matrix() -> None:
    lines = [*text(environment("dev"))]
    table = lines[lines.index("sashiko_dev.complaints") + 1 :][:20]
    rows = {words[0]: words[1:] for words in map(str.split, table) if words}
    assert rows["customer_gender"][0] == "sensitive"
    access_of = dict(zip(rows["column"][1:], rows["customer_gender"][1:], strict=True))
    assert access_of["bias-evaluator"] == "allowed"
    assert access_of["broker"] == "-"
    assert access_of["etl"] == "files"


def classes(variant: str) -> never.Classes:
    contracts = contracts_of(settings_of(variant))
    of_contracts = {
        (contract.table, column.name): column.classification
        for contract in contracts
        for column in contract.columns
    }
    tables = {contract.table for contract in contracts}
    captured = {  # a pack's tables; answers have no text
        (table, column): "none" if table.endswith("_answers") else "pii"
        for (_, table), columns in environment(variant).governance.tables.items()
        for column in columns
        if table not in tables
    }
    return of_contracts | captured


@pytest.mark.parametrize("variant", [*ENVIRONMENTS, "account_off"])
@pytest.mark.control("AC-4", "AC-5")
def test_what_must_never_be_is_not(variant: str) -> None:
    principals = environment(variant)
    assert never.ml_reading_pii(principals, classes(variant)) == set()
    assert never.others_reading_sensitive(principals, classes(variant)) == set()
    assert never.ways_of_training_to_the_lake(principals) == set()
    assert never.registering_and_approving(principals) == set()


def test_without_lake_formation_the_two_snapshot_roles_read_whole_files_and_nobody_else() -> None:
    """What `docs/first-deploy.md` says of `iam_only`: no column is protected from them."""
    principals = environment("iam_only")
    assert never.ml_reading_pii(principals, classes("iam_only")) == {"broker", "bias-evaluator"}
    assert never.others_reading_sensitive(principals, classes("iam_only")) == {"broker"}
    assert never.ways_of_training_to_the_lake(principals) == set()
    assert never.registering_and_approving(principals) == set()


@pytest.mark.parametrize("variant", ENVIRONMENTS)
def test_the_bias_evaluator_does_see_sensitive_columns_and_the_broker_what_it_needs(
    variant: str,
) -> None:
    principals = environment(variant)
    assert "bias-evaluator" in never.readers(principals, classes(variant), "sensitive")
    assert "broker" in never.readers(principals, classes(variant), "none")
    cells = permission_matrix(principals, principals)
    assert {cell.table for cell in cells} == {table for _, table in principals.governance.tables}


def test_no_dev_role_reads_a_column_of_prod_in_the_same_account() -> None:
    """Tag expressions match the whole catalog, so each must carry its environment.

    Prod's tables stand in dev's account here, and IAM is left out: the tags alone must do it.
    """
    dev, prod = environment("dev"), environment("prod")
    unlimited = tuple(
        replace(role, policy=never.ANYTHING, boundary=None) for role in dev.principals
    )
    readers = replace(dev, principals=unlimited)
    assert never.reading_elsewhere(readers, dev) >= {"broker", "bias-evaluator"}
    assert never.reading_elsewhere(readers, prod) == set()
