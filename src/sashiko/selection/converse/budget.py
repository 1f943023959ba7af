"""A budget of tokens and dollars: the worst case is reserved before a request is sent.

So the sum of what was spent and of what is under way never exceeds the budget, whatever the answers
turn out to be.
"""

import threading
from dataclasses import dataclass

from sashiko.aws.operations.cost.prices import TokenPrice
from sashiko.errors import InputError
from sashiko.selection.file import Budget


class BudgetExceededError(Exception):
    """The next request could exceed the budget."""


@dataclass(frozen=True)
class Tokens:
    """Tokens of a request, or of many."""

    input: int
    output: int

    @property
    def total(self) -> int:
        """Both together."""
        return self.input + self.output

    def usd(self, price: TokenPrice | None) -> float:
        """Returns what they cost; 0 without a price, which only a budget without dollars allows."""
        if price is None:
            return 0.0
        return (self.input * price.input_usd + self.output * price.output_usd) / 1e6


class Ledger:
    """What a recording's requests have spent, and what those under way may spend at most."""

    def __init__(self, budget: Budget) -> None:
        """Starts with nothing spent."""
        self._budget = budget
        self._lock = threading.Lock()
        self.tokens, self.usd = 0, 0.0  # spent and reserved

    def spend(self, tokens: Tokens, price: TokenPrice | None) -> None:
        """Adds what an earlier run has spent."""
        with self._lock:
            self.tokens += tokens.total
            self.usd += tokens.usd(price)

    def reserve(self, most: Tokens, price: TokenPrice | None) -> None:
        """Reserves the worst case of a request.

        Raises:
            BudgetExceededError: if it does not fit.
        """
        with self._lock:
            tokens, usd = self.tokens + most.total, self.usd + most.usd(price)
            limit = self._budget.usd
            if tokens > self._budget.tokens:
                raise BudgetExceededError(
                    f"{self.tokens:,} of {self._budget.tokens:,} tokens are spent or reserved, and "
                    f"the next request may take {most.total:,}"
                )
            if limit is not None and usd > limit:
                raise BudgetExceededError(
                    f"${self.usd:.4f} of ${limit:g} are spent or reserved, and the next request "
                    f"may take ${most.usd(price):.4f}"
                )
            self.tokens, self.usd = tokens, usd

    def settle(self, most: Tokens, spent: Tokens, price: TokenPrice | None) -> None:
        """Replaces a reservation by what the request has spent: nothing if it was refused."""
        with self._lock:
            self.tokens += spent.total - most.total
            self.usd += spent.usd(price) - most.usd(price)


def require_price(budget: Budget, price: TokenPrice | None, *, model: str) -> None:
    """Refuses a budget in dollars for a model whose price is not known.

    Raises:
        InputError: with the key to give.
    """
    if budget.usd is not None and price is None:
        raise InputError(
            f"key `bedrock.budget.usd`: no price of {model} is known, so its dollars cannot be "
            f"counted: give `tokens.{model}` with its source in a file, as --prices FILE, or set "
            "`bedrock.budget.usd: null` and rely on `bedrock.budget.tokens`"
        )
