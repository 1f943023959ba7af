from typing import Any

import pytest
from botocore.stub import Stubber

from sashiko.contract.model import Contract
from sashiko.data.athena_lake import check_table
from sashiko.errors import InputError
from tests.unit.data.stubs import glue_table, stubbed

# What Lake Formation shows the broker: neither `reader` (pii) nor `age` (sensitive).
_BROKER = {
    "loan_id": "string",
    "lent_at": "timestamp",
    "pages": "bigint",
    "price": "double",
    "title": "string",
    "late": "string",
}


@pytest.fixture
def glue():
    with stubbed("glue") as pair:
        yield pair


def _check(
    glue: tuple[Any, Stubber], contract: Contract, view: Any, answer: dict[str, Any]
) -> None:
    client, stub = glue
    stub.add_response("get_table", answer, {"DatabaseName": "lake", "Name": "loans"})
    check_table(client, "lake", contract, view)


def test_a_broker_that_sees_no_more_than_its_view_may_read(glue, contract):
    _check(glue, contract, "training", glue_table(_BROKER))


@pytest.mark.parametrize("view", ["training", "facets"])
def test_a_role_that_sees_the_whole_table_may_read_its_view(view, glue, contract):
    columns = _BROKER | {"reader": "string", "age": "string"}
    _check(glue, contract, view, glue_table(columns))


def test_facets_that_are_not_granted_are_missing(glue, contract):
    with pytest.raises(InputError, match=r"no column `age`.* the Governance stack if Lake Form"):
        _check(glue, contract, "facets", glue_table(_BROKER))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (glue_table(_BROKER | {"pages": "int"}),
         r"lake.loans: column `pages` has type int, .* says integer \(bigint\)"),
        (glue_table(_BROKER | {"shoe_size": "int"}),
         r"column `shoe_size` is not in the contract `library-loans`, yet this role sees it"),
        (glue_table(_BROKER, keys=()), r"no partition key `as_of`"),
        (glue_table({}), r"lake.loans shows this role no column `loan_id`"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_is_refused_before_a_query_is_paid_for(
    answer, message, glue, contract
):
    with pytest.raises(InputError, match=message):
        _check(glue, contract, "training", answer)


@pytest.mark.parametrize(
    ("code", "message", "fix"),
    [
        ("EntityNotFoundException", "Entity Not Found", "correct `LakeUri`, or deploy"),
        ("AccessDeniedException",
         "Insufficient Lake Formation permission(s): Required Describe on loans", "lacks a grant"),
        ("AccessDeniedException",
         "User is not authorized to perform: glue:GetTable on resource: x",
         "allow that action to this role"),
    ],
)  # fmt: skip
def test_a_table_that_the_catalog_does_not_show_is_refused_with_the_fix(
    code, message, fix, glue, contract
):
    client, stub = glue
    stub.add_client_error("get_table", code, message)
    with pytest.raises(
        InputError, match=r"cannot see table lake.loans in the Glue catalog"
    ) as error:
        check_table(client, "lake", contract, "training")
    assert message in str(error.value)
    assert fix in str(error.value)
