"""The scored validation split of one trained model, with its facets.

It needs neither Evaluate nor the test split: the artifact's own handler scores the validation rows.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from sashiko.base.parquet import read_columns
from sashiko.bias.clarify.config import AnalysisConfig
from sashiko.bias.clarify.contract_config import (
    GROUP_VARIABLE,
    LABEL,
    PREDICTED_LABEL,
    analysis_config,
)
from sashiko.bias.clarify.counting import count_groups
from sashiko.bias.clarify.dataset import Column, Dataset
from sashiko.bias.steps.bias_estimates import StageAnalysis, analyse_stage
from sashiko.bias.steps.facet_join import facets_of
from sashiko.contract.model import Contract
from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints
from sashiko.pipeline.runner.record import RunRecord
from sashiko.pipeline.runner.store import Store
from sashiko.pipeline.scores import cached_scores
from sashiko.settings.bias import BiasSection
from sashiko.steps.champion import ARTIFACT
from sashiko.steps.scored_splits import Split, load_split

LAST_STEP = "Compile"  # creates the served artifact, which is scored here


@dataclass(frozen=True)
class Validation:
    """One model's validation rows."""

    labels: Ints  # 0 or 1, shape (rows,)
    scores: Floats  # P(positive), shape (rows,)
    train_labels: Ints
    contract: Contract
    config: AnalysisConfig
    data: Dataset  # labels and facets of the rows, without predictions
    inputs: dict[str, str]  # `validation` and `facets` -> digest

    def analysed(self, predicted: Bools, section: BiasSection) -> StageAnalysis:
        """Counts facets and intersections by label and prediction, like JudgeBias."""
        labels = pa.chunked_array([pa.array(np.where(predicted, "1", "0"))])
        column = Column(PREDICTED_LABEL, labels, self.data.label.file)
        data = replace(self.data, predicted=column)
        counts = count_groups(self.config, data)
        return analyse_stage(self.contract, section, None, data=data, group_counts=counts)


def read_validation(run: RunRecord, contract: Contract, *, home: Path) -> Validation:
    """Reads and scores the validation split of a run that finished `LAST_STEP`.

    Raises:
        InputError: if an output is missing, a text is refused, or a row has no facet.
    """
    folder = Store(home / "s3").path(run.step("Prepare").outputs["validation"].uri)
    split = load_split(folder)
    artifact = run.step(LAST_STEP).outputs["artifact"]
    scores = cached_scores(
        Store(home / "s3").path(artifact.uri) / ARTIFACT,
        split,
        split_sha256=run.step("Prepare").outputs["validation"].sha256,
        name="validation",
        home=home,
    )
    return with_facets(run, contract, split, scores, folder=folder, home=home)


def with_facets(
    run: RunRecord, contract: Contract, split: Split, scores: Floats, *, folder: Path, home: Path
) -> Validation:
    """Joins a split and its scores with the run's facets.

    Raises:
        InputError: if an output is missing, or a row has no facet.
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
