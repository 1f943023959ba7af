"""Budgets."""

from ..engine.resources import Place, Properties, ResourceType


class Budget(ResourceType):
    name = "AWS::Budgets::Budget"
    updated = frozenset({"Budget"})
    handled = updated | {"NotificationsWithSubscribers", "ResourceTags"}

    def create(self, place: Place, desired: Properties) -> str:
        place.aws("budgets").create_budget(
            AccountId=place.account,
            Budget=_as_text(desired["Budget"]),
            NotificationsWithSubscribers=desired.get("NotificationsWithSubscribers", []),
            ResourceTags=desired.get("ResourceTags", []),
        )
        return str(desired["Budget"]["BudgetName"])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        # moto has no UpdateBudget.
        self.delete(place, physical_id, old)
        self.create(place, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("budgets").delete_budget(AccountId=place.account, BudgetName=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        budgets, by_name = (
            place.aws("budgets"),
            {"AccountId": place.account, "BudgetName": physical_id},
        )
        budget = budgets.describe_budget(**by_name)["Budget"]
        notifications = budgets.describe_notifications_for_budget(**by_name)["Notifications"]
        limit = {**budget["BudgetLimit"], "Amount": float(budget["BudgetLimit"]["Amount"])}
        return {
            "Budget": {**budget, "BudgetLimit": limit},
            "NotificationsWithSubscribers": [{"Notification": item} for item in notifications],
        }


def _as_text(budget: Properties) -> Properties:
    """The API writes amounts as text."""
    limit = budget["BudgetLimit"]
    return {**budget, "BudgetLimit": {**limit, "Amount": str(limit["Amount"])}}


TYPES = (Budget,)
