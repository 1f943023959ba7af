"""How often the rule of `sashiko select` keeps a candidate that is worse than the best one.

    python -m verification.benchmarks.selection_rule

Two models decide the same rows, half of them positive. The best one is right on 80 % of them. The
other one is right on fewer by the loss; the two disagree by chance on 3 % of the rows and, beyond
that, where the other one loses. "As good" is what may be chosen for its price; "worse" and
"undecided" may not. The effect that counts is 0.02, as in selections/complaints.yaml.
"""

import numpy as np

from sashiko.evaluation.metrics.arrays import Ints, ModelScores, two_classes
from sashiko.settings.recipe_quality import EvaluateSection
from sashiko_packs.selection.record import lead_over, standing_of
from verification.benchmarks.bench import options, show, table

_RIGHT = 0.8  # of the best one's decisions
_DRAWN_ANEW = 0.1  # of the other one's decisions, whatever the best one's are


def main() -> None:
    """Prints the share of each standing, by loss and number of rows."""
    chosen = options(__doc__, draws=400, rows=[24, 300, 1500], losses=[0.0, 0.02, 0.05, 0.08, 0.12])
    rows = (
        (f"{loss:g}", *(_shares(rows, loss, draws=chosen.draws) for rows in chosen.rows))
        for loss in chosen.losses
    )
    show(table(("truly worse by", *(f"{rows:,} rows" for rows in chosen.rows)), rows))


def _shares(rows: int, loss: float, *, draws: int) -> str:
    """Returns the shares of draws in which the candidate is as good, undecided and worse."""
    standings = []
    for seed in range(draws):
        section = EvaluateSection(seed=seed)
        models = draw(rows=rows, loss=loss, seed=seed)
        lead = lead_over(*models, "balanced_accuracy", section=section)
        standings.append(standing_of(lead, minimum_effect=0.02))
    names = ("as good", "undecided", "worse")
    return " / ".join(f"{100 * standings.count(name) / draws:.1f} %" for name in names)


def draw(*, rows: int, loss: float, seed: int) -> tuple[ModelScores, ModelScores, Ints]:
    """Draws the decisions of the best model and of the other one, and the labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(rows) % 2
    right = generator.random(rows) < _RIGHT
    anew = generator.random(rows) < _DRAWN_ANEW
    other = np.where(anew, generator.random(rows) < _RIGHT, right)
    other &= generator.random(rows) >= loss / _RIGHT
    best, worse = (
        ModelScores(two_classes(np.where(correct, labels, 1 - labels).astype(np.float64)), 0.5)
        for correct in (right, other)
    )
    return best, worse, labels


if __name__ == "__main__":
    main()
