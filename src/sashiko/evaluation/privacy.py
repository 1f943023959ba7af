"""What may be shown of people: counts of few rows may not."""

from typing import Final

SMALLEST_COUNT: Final = 10  # a smaller count could stand for a person
