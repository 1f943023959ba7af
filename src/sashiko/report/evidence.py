"""Reads a run's files one by one; a missing file has a reason."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np

from sashiko.base.files import lies_within, read_json
from sashiko.base.parquet import open_parquet, read_columns
from sashiko.base.yaml_models import Frozen, read_record
from sashiko.bias.gates.estimates import INTERVALS_FILE, BiasEstimate, read_estimates
from sashiko.contract.load import load_contract
from sashiko.contract.manifest import MANIFEST_FILE, Manifest, read_manifest
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import METRICS_FILE, Evaluation, read_evaluation
from sashiko.evaluation.metrics.arrays import Floats, Ints, Truth, two_classes
from sashiko.explain.explanation_record import EXPLANATIONS_FILE, Explanations, read_explanations
from sashiko.pipeline.definition.definition_records import Definition, parse_definition
from sashiko.pipeline.definition.unchain import unchain
from sashiko.pipeline.runner.process import last_lines
from sashiko.pipeline.runner.run_record import RunRecord, StepRecord, read_run
from sashiko.pipeline.runner.store import Store
from sashiko.report.plots import GroupScores
from sashiko.settings.recipe import Recipe, load_recipe

_COLUMNS = ["key", "split", "label", "score", "predicted"]
T = TypeVar("T")
_LOG_LINES = 15


@dataclass(frozen=True)
class Predictions:
    """The test split."""

    keys: Sequence[str]
    labels: Ints  # index of the class or of a number's outcome, shape (rows,)
    scores: Floats  # probability of a favourable class, or the predicted number; shape (rows,)
    predicted: Ints  # index of the predicted class or outcome, shape (rows,)
    # Probability of each class, shape (rows, classes), or the predicted number, shape (rows, 1).
    by_class: Floats
    values: Floats | None = None  # of a label that is a number, shape (rows,)

    @property
    def truth(self) -> Truth:
        """What the metrics compare with: labels, or the values of a number."""
        return self.labels if self.values is None else self.values


def read_predictions(path: Path) -> Predictions:
    """Reads the test split's rows of `predictions.parquet`.

    Raises:
        InputError: if the file is broken, lacks a column, or has no test row.
    """
    import pyarrow.compute as pc

    more = {"scores", "value"} & {*open_parquet(path).schema_arrow.names}
    table = read_columns(path, [*_COLUMNS, *more])
    table = table.filter(pc.equal(table["split"], "test"))
    if not table.num_rows:
        raise InputError(f"{path.name} has no row of the test split")
    scores = table["score"].to_numpy().astype(np.float64)
    by_class, values = two_classes(scores), None
    if "value" in more:
        by_class = scores[:, None]
        values = table["value"].to_numpy().astype(np.float64)
    elif more:
        by_class = np.array(table["scores"].to_pylist(), dtype=np.float64)
    return Predictions(
        keys=table["key"].to_pylist(),
        labels=table["label"].to_numpy().astype(np.int64),
        scores=scores,
        predicted=table["predicted"].to_numpy().astype(np.int64),
        by_class=by_class,
        values=values,
    )


def scores_by_group(
    predictions: Predictions, facets: Path, *, key: str, facet: str
) -> tuple[GroupScores, ...]:
    """Groups the scores by a facet's values, in the order of the values.

    Raises:
        InputError: if the snapshot is broken or lacks a column.
    """
    table = read_columns(facets, [key, facet])
    keys = [str(value) for value in table[key].to_pylist()]
    group_of = dict(zip(keys, table[facet].to_pylist(), strict=True))
    values = [group_of.get(key) for key in predictions.keys]
    groups = np.array(["missing" if value is None else str(value) for value in values])
    masks = {str(name): groups == name for name in np.unique(groups)}
    scores, labels = predictions.scores, predictions.labels
    return tuple(GroupScores(name, scores[mask], labels[mask]) for name, mask in masks.items())


class SourceRecord(Frozen):
    """The commit that a run was started from, `evidence/source.json`."""

    git_sha: str
    dirty: bool


@dataclass(frozen=True)
class Missing:
    """A missing or unreadable file, with the reason."""

    why: str


@dataclass(frozen=True)
class Evidence:
    """A run's folder `<home>/runs/<id>`, and the local store with its outputs."""

    folder: Path
    store: Store
    run: RunRecord
    definition: Definition | Missing
    contract: Contract | Missing
    recipe: Recipe | Missing
    source: SourceRecord | Missing

    def step(self, name: str) -> StepRecord | None:
        """Returns a step's record, or None if the pipeline has no such step."""
        return next((step for step in self.run.steps if step.name == name), None)

    def why_not(self, step: str) -> str:
        """Returns why a step has no output, as a sentence."""
        record = self.step(step)
        if record is None:
            return f"This pipeline has no step {step}."
        match record.status:
            case "succeeded" | "cached":
                return f"{step} ran, but did not write it."
            case "failed":
                return f"{step} failed: {record.reason}"
            case "interrupted" | "running":
                return f"{step} was interrupted."
        return f"{step} was not reached: {self.why_ended()}"

    def why_ended(self) -> str:
        """Returns in a few words why later steps did not run."""
        for step in self.run.steps:
            if step.status in ("blocked", "failed", "interrupted"):
                return f"the run ended at {step.name} ({step.status})."
        return f"the run ended before it ({self.run.status})."

    def output(self, step: str, output: str, file: str) -> Path | Missing:
        """Finds a file of a step's output in the store."""
        record = self.step(step)
        output_record = record.outputs.get(output) if record else None
        if output_record is None:
            return Missing(self.why_not(step))
        try:
            folder = self.store.path(output_record.uri)
        except InputError as error:
            return Missing(f"{step}'s output {output} cannot be found: {error}")
        # An output is a folder, or one file that is the artifact itself.
        path = folder if folder.is_file() else folder / file
        if path.is_file():
            return path
        return Missing(f"{file} of {step}'s output {output} is no longer in the local store.")

    def read(self, step: str, output: str, file: str, reader: Callable[[Path], T]) -> T | Missing:
        """Reads a file of a step's output with `reader`, which may raise InputError."""
        path = self.output(step, output, file)
        return path if isinstance(path, Missing) else attempt(lambda: reader(path))

    @cached_property
    def evaluation(self) -> Evaluation | Missing:
        """The metrics of Evaluate."""
        return self.read("Evaluate", "metrics", METRICS_FILE, read_evaluation)

    @cached_property
    def predictions(self) -> Predictions | Missing:
        """Evaluate's predictions on the test split."""
        return self.read("Evaluate", "predictions", "predictions.parquet", read_predictions)

    @cached_property
    def estimates(self) -> tuple[BiasEstimate, ...] | Missing:
        """JudgeBias's metrics with their intervals."""
        return self.read("JudgeBias", "intervals", INTERVALS_FILE, read_estimates)

    @cached_property
    def explanations(self) -> Explanations | Missing:
        """The results of Explain, without texts of rows."""
        return self.read("Explain", "explanations", EXPLANATIONS_FILE, read_explanations)

    def manifest(self, step: str) -> Manifest | Missing:
        """Reads the manifest of a step that takes a snapshot."""
        return self.read(step, "manifest", MANIFEST_FILE, lambda path: read_manifest(path.parent))

    def log_tail(self, step: StepRecord) -> str:
        """Returns the last lines of a step's log, or nothing."""
        path = self.folder / step.log
        if not step.log or not lies_within(path, self.folder):
            return ""
        return "\n".join(last_lines(path, _LOG_LINES))


def read_evidence(folder: Path, home: Path) -> Evidence:
    """Reads the files in a run's folder.

    Raises:
        InputError: if there is no valid `run.json`; all else may be missing.
    """
    evidence = folder / "evidence"
    return Evidence(
        folder=folder,
        store=Store(root=home / "s3"),
        run=read_run(folder),
        definition=attempt(
            lambda: unchain(parse_definition(read_json(folder / "definition.json")))
        ),
        contract=attempt(lambda: load_contract(evidence / "contract.odcs.yaml")),
        recipe=attempt(lambda: load_recipe(evidence / "recipe.yaml")),
        source=attempt(lambda: read_record(SourceRecord, evidence / "source.json")),
    )


def attempt(read: Callable[[], T]) -> T | Missing:
    """Calls `read`; an InputError becomes a Missing with its message."""
    try:
        return read()
    except InputError as error:
        return Missing(str(error))
