"""The Great Expectations suite of a contract's view."""

from typing import TYPE_CHECKING

from sashiko.contract.model import Contract, View
from sashiko.contract.rule_expectations import expectations

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite


def expectation_suite(contract: Contract, view: View) -> "ExpectationSuite":
    """Builds the suite: an expectation per rule, in the order of the contract.

    Each expectation's `meta["name"]` is the name of its check.

    Raises:
        InputError: if a rule of the contract has no row in the rule table.
    """
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.registry import get_expectation_impl

    return ExpectationSuite(
        name=f"{contract.table}-{view}",
        expectations=[
            get_expectation_impl(item.kind)(**item.arguments, meta={"name": item.name})
            for item in expectations(contract, view)
        ],
    )
