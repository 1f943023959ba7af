"""The validation split of one trained model, scored, with the columns that bias is judged by.

Neither Evaluate nor the test split is needed for it: the artifact's own handler scores the
validation rows here, once, and the scores are kept by what they were made of.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from sashiko.clarify.bias.config import AnalysisConfig
from sashiko.clarify.bias.counting import group_counts
from sashiko.clarify.bias.dataset import Column, Dataset
from sashiko.contract.bias_config import GROUP_VARIABLE, LABEL, PREDICTED_LABEL, analysis_config
from sashiko.contract.model import Contract
from sashiko.core.files import canonical_json, sha256_bytes
from sashiko.core.parquet import read_columns, write_table
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints
from sashiko.pipeline.runner.record import RunRecord
from sashiko.pipeline.runner.store import Store
from sashiko.serving.artifact import open_artifact
from sashiko.settings.bias import BiasSection
from sashiko.steps.bias_estimates import Analysed, analysed
from sashiko.steps.comparators import ARTIFACT
from sashiko.steps.facet_join import facets_of
from sashiko.steps.scored_splits import Split, load_split, score_splits

LAST_STEP = "Compile"  # makes what will be served, and so what is scored here
_ANY_THRESHOLD = 0.5  # the scores do not depend on it


@dataclass(frozen=True)
class Validation:
    """One model's validation rows.

    Attributes:
        labels: 0 or 1, shape (rows,).
        scores: P(positive), shape (rows,).
        train_labels: of the train split, by which the majority baseline is made.
        contract: names the facets and their groups.
        config: what PostBias is told of it.
        data: labels and facets of the rows, without predictions.
        inputs: `validation` and `facets` -> digest.
    """

    labels: Ints
    scores: Floats
    train_labels: Ints
    contract: Contract
    config: AnalysisConfig
    data: Dataset
    inputs: dict[str, str]

    def analysed(self, predicted: Bools, section: BiasSection) -> Analysed:
        """Counts facets and intersections by label and prediction, as JudgeBias does."""
        words = pa.chunked_array([pa.array(np.where(predicted, "1", "0"))])
        column = Column(PREDICTED_LABEL, words, self.data.label.file)
        data = replace(self.data, predicted=column)
        counted = group_counts(self.config, data)
        return analysed(self.contract, section, None, data=data, counted=counted)


def read_validation(run: RunRecord, contract: Contract, *, home: Path) -> Validation:
    """Reads the validation split of a run that came as far as `LAST_STEP`, and scores it.

    Raises:
        InputError: if an output is gone from the store, a text is refused, or a row has no facet.
    """
    folder = Store(home / "s3").path(run.step("Prepare").outputs["validation"].uri)
    split = load_split(folder)
    scores = _scores(run, split, home=home)
    return with_facets(run, contract, split, scores, folder=folder, home=home)


def with_facets(
    run: RunRecord, contract: Contract, split: Split, scores: Floats, *, folder: Path, home: Path
) -> Validation:
    """Puts a run's facets beside rows of it and a model's scores of them.

    Args:
        run: has a facet snapshot, and the train split of the majority baseline.
        contract: names the facets.
        split: the rows.
        scores: P(positive) of each.
        folder: of the split, for errors.
        home: the folder of all local state.

    Raises:
        InputError: if an output is gone from the store, or a row has no facet.
    """
    store = Store(home / "s3")
    facets_file = store.path(run.step("SnapshotFacets").outputs["data"].uri)
    labels = pa.chunked_array([pa.array(split.labels)])
    rows = pa.table({"key": pa.chunked_array([pa.array(split.keys)]), "label": labels})
    facets = facets_of(
        rows, contract, source=folder / "data.parquet", facets_file=facets_file / "data.parquet"
    )
    columns = {name: Column(name, values, facets_file) for name, values in facets.items()}
    train = store.path(run.step("Prepare").outputs["train"].uri) / "data.parquet"
    return Validation(
        labels=split.labels,
        scores=scores,
        train_labels=read_columns(train, ["label"])["label"].to_numpy().astype(np.int64),
        contract=contract,
        config=AnalysisConfig.model_validate(analysis_config(contract, kind="post")),
        data=Dataset(
            label=Column(LABEL, labels.cast(pa.string()), folder),
            predicted=None,
            facets=tuple(columns[facet.column] for facet in contract.facets),
            group=columns.get(GROUP_VARIABLE),
        ),
        inputs={
            "validation": run.step("Prepare").outputs["validation"].sha256,
            "facets": run.step("SnapshotFacets").outputs["data"].sha256,
        },
    )


def _scores(run: RunRecord, split: Split, *, home: Path) -> Floats:
    """Scores the split with the run's artifact, unless that was done before."""
    artifact = run.step(LAST_STEP).outputs["artifact"]
    made_from = {
        "artifact": artifact.sha256,
        "validation": run.step("Prepare").outputs["validation"].sha256,
    }
    path = home / "cache" / "scores" / f"{sha256_bytes(canonical_json(made_from))}.parquet"
    if path.is_file():
        try:
            known = read_columns(path, ["key", "score"])
        except InputError:
            path.unlink()  # damaged: it is made again
        else:
            if tuple(known["key"].to_pylist()) == split.keys:
                scores: Floats = known["score"].to_numpy().astype(np.float64)
                return scores
    archive = Store(home / "s3").path(artifact.uri) / ARTIFACT
    with open_artifact(archive, threshold=_ANY_THRESHOLD) as model:
        (scores,) = score_splits(model, [split], name="validation")
    write_table(path, pa.table({"key": pa.array(split.keys), "score": pa.array(scores)}))
    return scores
