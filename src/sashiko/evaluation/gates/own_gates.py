"""A project's own gates: requirements on a model that are not a metric with a bound."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy.typing as npt

from sashiko.base.plugins import load
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import Evaluation
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.arrays import Floats, Ints, ModelScores
from sashiko.settings.recipe_quality import OwnGate

__all__ = ["Gate", "JudgedScores", "ModelEvidence"]


@dataclass(frozen=True)
class JudgedScores:
    """A model's scores of the test split.

    Attributes:
        scores: of two classes P(label = 1), shape (rows,); of more the probability of each, shape
            (rows, classes); of a number the predicted values, shape (rows,).
        threshold: of two classes, rows with at least this score are predicted positive; of more,
            rows whose most probable class has it are answered (0: all). Of a number, values above
            it have the second outcome.
        predicted: the index of each row's predicted class or outcome, shape (rows,).
    """

    scores: Floats
    threshold: float
    predicted: Ints

    @classmethod
    def of(cls, model: ModelScores) -> "JudgedScores":
        """Takes a model's scores."""
        scores = model.scores[:, -1] if model.classes <= 2 else model.scores
        return cls(scores, model.threshold, model.predicted)


@dataclass(frozen=True, kw_only=True)
class ModelEvidence:
    """What Evaluate knows about a model; no sensitive column is a part of it.

    Attributes:
        archive: the artifact, `model.tar.gz`.
        evaluation: metrics, leads, slices and calibration, as Register keeps them.
        labels: of the test split, the index of each row's class, or its value if the label is a
            number; shape (rows,).
        candidate: the model's scores of these rows.
        champion: the champion's scores of the same rows; None if no version is approved, or the one
            that is has other classes.
    """

    archive: Path
    evaluation: Evaluation
    labels: npt.NDArray[Any]
    candidate: JudgedScores
    champion: JudgedScores | None


class Gate(Protocol):
    """Judges a model: a function, or a class whose objects can be called."""

    def __call__(self, evidence: ModelEvidence, **options: Any) -> Sequence[Check]:
        """Returns one check or more, by the recipe's `options`."""


def own_checks(
    gates: Iterable[OwnGate], evidence: ModelEvidence, *, taken: Iterable[str]
) -> list[Check]:
    """Judges a model by the project's own gates, the recipe's `quality.own_gates`.

    `taken` are the names of the other checks: names are distinct, since a waiver refers to a name.

    Returns:
        The checks, in the recipe's order; the recipe's reason is added to their own.

    Raises:
        InputError: if a gate cannot be imported, returns no check, or repeats a name.
    """
    checks: list[Check] = []
    names = set(taken)
    for number, gate in enumerate(gates):
        key = f"quality.own_gates.{number}"
        judge: Gate = load("gates", gate.gate, key=f"{key}.gate")
        results = list(judge(evidence, **gate.options))
        if not results or not all(isinstance(check, Check) for check in results):
            raise InputError(
                f"recipe key {key}.gate: {gate.gate} must return one {Check.__module__}.Check or "
                f"more; it returned {results}"
            )
        for check in results:
            if check.name in names:
                raise InputError(
                    f"recipe key {key}: {gate.gate} returns a second check `{check.name}`: give "
                    "it another name"
                )
            names.add(check.name)
            reason = "; ".join(filter(None, (check.reason, gate.reason)))
            advice = "" if check.passed else check.try_
            checks.append(check.model_copy(update={"reason": reason, "try_": advice}))
    return checks
