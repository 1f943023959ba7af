"""Budgets."""

from ..engine.resources import Place, Properties, ResourceType


class Budget(ResourceType):
    name = "AWS::Budgets::Budget"
    updated = frozenset({"Budget"})
    handled = updated | {"NotificationsWithSubscribers", "ResourceTags"}

    def create(self, at: Place, wanted: Properties) -> str:
        at.aws("budgets").create_budget(
            AccountId=at.account,
            Budget=_as_text(wanted["Budget"]),
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

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        budgets, one = at.aws("budgets"), {"AccountId": at.account, "BudgetName": physical_id}
        found = budgets.describe_budget(**one)["Budget"]
        alerts = budgets.describe_notifications_for_budget(**one)["Notifications"]
        limit = {**found["BudgetLimit"], "Amount": float(found["BudgetLimit"]["Amount"])}
        return {
            "Budget": {**found, "BudgetLimit": limit},
            "NotificationsWithSubscribers": [{"Notification": alert} for alert in alerts],
        }


def _as_text(budget: Properties) -> Properties:
    """The API writes amounts as text."""
    limit = budget["BudgetLimit"]
    return {**budget, "BudgetLimit": {**limit, "Amount": str(limit["Amount"])}}


TYPES = (Budget,)
