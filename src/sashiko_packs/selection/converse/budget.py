"""A budget of tokens and dollars: the worst case is reserved before a request is sent.

So the sum of what was spent and of what is under way never exceeds the budget, whatever the answers
turn out to be.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sashiko.account.prices import TokenPrice
from sashiko.errors import InputError
from sashiko_packs.selection.file import Budget


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


NOTHING = Tokens(0, 0)


@dataclass
class Reservation:
    """What a request under way has spent: the worst case, unless that is known to be less."""

    spent: Tokens


class Ledger:
    """What a recording's requests have spent, and what those under way may spend at most."""

    def __init__(self, budget: Budget) -> None:
        """Starts with nothing spent."""
        self._budget = budget
        self._changed = threading.Condition()
        self._under_way = 0
        self.tokens, self.usd = 0, 0.0  # spent and reserved

    def spend(self, tokens: Tokens, price: TokenPrice | None) -> None:
        """Adds what an earlier run has spent."""
        with self._changed:
            self._add(tokens, price)

    @contextmanager
    def reservation(self, most: Tokens, price: TokenPrice | None) -> Iterator[Reservation]:
        """Reserves the worst case of a request, and counts what it has spent at the end.

        While the worst case does not fit, it waits for requests under way, which mostly spend less.

        Raises:
            BudgetExceededError: if it does not fit, and none is under way.
        """
        with self._changed:
            while reason := self._exceeded(most, price):
                if not self._under_way:
                    raise BudgetExceededError(reason)
                self._changed.wait()
            self._add(most, price)
            self._under_way += 1
        reservation = Reservation(most)
        try:
            yield reservation
        finally:
            with self._changed:
                spent = reservation.spent
                self._add(Tokens(spent.input - most.input, spent.output - most.output), price)
                self._under_way -= 1
                self._changed.notify_all()

    def _add(self, tokens: Tokens, price: TokenPrice | None) -> None:
        self.tokens, self.usd = self.tokens + tokens.total, self.usd + tokens.usd(price)

    def _exceeded(self, most: Tokens, price: TokenPrice | None) -> str:
        """Returns why a request does not fit; empty if it does."""
        limit = self._budget.usd
        if self.tokens + most.total > self._budget.tokens:
            return (
                f"{self.tokens:,} of {self._budget.tokens:,} tokens are spent, and the next "
                f"request may take {most.total:,}"
            )
        if limit is not None and self.usd + most.usd(price) > limit:
            return (
                f"${self.usd:.4f} of ${limit:g} are spent, and the next request may take "
                f"${most.usd(price):.4f}"
            )
        return ""


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
