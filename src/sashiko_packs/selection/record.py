"""The record of a selection, `selection.json`, read by its page and `--json`."""

import datetime as dt
from pathlib import Path
from typing import Literal

from pydantic import Field

from sashiko.base.files import write_json
from sashiko.base.yaml_models import Frozen
from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.evaluation.evaluation_record import Estimates, InjectionFigures
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.pipeline.project import SELECTION_FILE, SELECTIONS, chosen_record
from sashiko.settings.recipe import Recipe
from sashiko_packs.selection.file import STAYS, Selection, Travel

Outcome = Literal["chosen", "as good", "undecided", "worse", "dropped", "not measured"]


class Answers(Frozen):
    """What a model of Bedrock answered on the test rows."""

    valid: int
    invalid: int  # no answer that the prompt allows, or one that was cut
    refused: int  # by the model's provider or a guardrail
    stop_reasons: dict[str, int]  # stop reason -> rows
    input_tokens: int
    output_tokens: int
    days: tuple[dt.date, ...]  # on which it answered, in UTC
    hand_made: bool  # no model answered: they were written by hand, to try the command


class Latency(Frozen):
    """Seconds of one prediction."""

    p50: float
    p99: float
    mean: float
    requests: int
    how: str  # what was timed, and on what


class Cost(Frozen):
    """US dollars of a million predictions."""

    usd: float | None  # None if unknown, which is never counted as zero
    basis: str  # how it comes about, with the prices' source and day, or why it is unknown


class CandidateRecord(Frozen):
    """One candidate with all its figures."""

    name: str
    kind: Literal["linear", "recipe", "version", "bedrock"]
    what: str  # the model, in words
    sha256: str | None = None  # of the artifact, if there is one
    run: str | None = None  # id of the run that made the model
    licence: str | None = None  # of others' weights; None: nobody's weights
    travel: Travel = STAYS
    answers: Answers | None = None  # of a model of Bedrock
    cost: Cost
    musts: tuple[Check, ...] = ()  # every must, passed or not
    # The figures; none of answers that were written by hand.
    threshold: float | None = None  # the lowest score that is decided positive; None without scores
    metrics: Estimates = Field(default_factory=dict)  # without scores those of decisions alone
    error_by_chance: Estimate | None = None  # the calibration error that chance alone gives
    bias: tuple[BiasEstimate, ...] = ()  # DI of each group, and the gated metrics
    injection: InjectionFigures | None = None
    latency: Latency | None = None
    lead_of_best: Estimate | None = None  # of the best candidate over this one, paired by rows
    rows_needed: int | None = None  # about how many test rows decide an undecided one
    outcome: Outcome = "dropped"

    @property
    def failed(self) -> tuple[Check, ...]:
        """The musts that it fails."""
        return tuple(check for check in self.musts if not check.passed)

    @property
    def measured(self) -> bool:
        """Whether it has figures: answers written by hand give none, nor does a model unasked."""
        return bool(self.metrics)


class SelectionRecord(Frozen):
    """A whole selection."""

    id: str
    selection: Selection
    day: dt.date
    rows: int
    positives: int
    bootstrap_replicates: int
    inputs: dict[str, str]  # `test`, `facets` -> digest of the rows
    candidates: tuple[CandidateRecord, ...]
    best: str | None  # the candidate with the highest metric of those that fail no must
    chosen: str | None
    reason: str  # why this one, or why none
    unjudged: tuple[str, ...]  # what might have changed the choice, and was not judged
    command: str  # that repeats it
    schema_version: Literal[1] = Field(1)


def write_selection(record: SelectionRecord, home: Path, *, chosen: Recipe | None) -> Path:
    """Writes `<home>/selections/<id>/selection.json` and returns the folder.

    The record also goes into the evidence of the chosen recipe: into that of the run that made the
    model, and to where each later run of the same recipe copies it from. `chosen` is None if no
    candidate is chosen, or it has no recipe.

    Raises:
        InputError: if it cannot be written.
    """
    folder = home / SELECTIONS / record.id
    value = record.model_dump(mode="json")
    write_json(folder / SELECTION_FILE, value)
    if record.chosen is None or chosen is None:
        return folder
    write_json(chosen_record(chosen, home=home), value)
    (run,) = (item.run for item in record.candidates if item.name == record.chosen)
    if run is not None:
        write_json(home / "runs" / run / "evidence" / SELECTION_FILE, value)
    return folder
