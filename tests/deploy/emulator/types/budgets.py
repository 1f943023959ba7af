"""Budgets."""

from typing import Any

from ..engine.resources import Place, Properties, ResourceType


class Budget(ResourceType):
    name = "AWS::Budgets::Budget"
    handled = frozenset({"Budget", "NotificationsWithSubscribers", "ResourceTags"})

    def create(self, at: Place, wanted: Properties) -> str:
        at.aws("budgets").create_budget(
            AccountId=at.account,
            Budget=_budget(wanted),
            NotificationsWithSubscribers=wanted.get("NotificationsWithSubscribers", []),
            ResourceTags=wanted.get("ResourceTags", []),
        )
        return str(wanted["Budget"]["BudgetName"])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        # moto has no UpdateBudget.
        self.delete(at, physical_id, old)
        self.create(at, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("budgets").delete_budget(AccountId=at.account, BudgetName=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Any:
        found = at.aws("budgets").describe_budget(AccountId=at.account, BudgetName=physical_id)
        return found["Budget"]


def _budget(wanted: Properties) -> Properties:
    """The API writes amounts as text."""
    budget = dict(wanted["Budget"])
    limit = budget["BudgetLimit"]
    return {**budget, "BudgetLimit": {**limit, "Amount": str(limit["Amount"])}}


TYPES = (Budget,)
