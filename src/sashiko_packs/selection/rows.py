"""The rows that candidates are judged on: runs, test rows, a model's validation split, scores."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from sashiko.base.files import canonical_json, sha256_bytes, sha256_file
from sashiko.base.parquet import read_columns, write_table
from sashiko.bias.clarify import contract_config
from sashiko.bias.clarify.analysis import AnalysisConfig
from sashiko.bias.clarify.counting import Column, Dataset, count_groups
from sashiko.bias.gates.bias_gate import Mitigation, bias_checks
from sashiko.bias.gates.estimates import BiasEstimate, gate_applies
from sashiko.bias.metrics.bias_table import METRICS, measure
from sashiko.bias.steps.bias_estimates import analyse_stage, looks_of, subgroup_estimates
from sashiko.bias.steps.facet_join import facets_of
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import Estimates
from sashiko.evaluation.gates.quality_checks import Training, quality_checks
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.arrays import Bools, Floats, Ints, ModelScores, two_classes
from sashiko.pipeline.local_run import run_pipeline
from sashiko.pipeline.project import contract_file, recipe_sha256
from sashiko.pipeline.runner.run_record import RunRecord
from sashiko.pipeline.runner.store import Store
from sashiko.serving.artifact import open_artifact
from sashiko.serving.container.text import columns, normalise
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_bias import BiasGate, BiasSection
from sashiko.settings.recipe_quality import QualityGate, QualitySection
from sashiko.steps.scored_splits import ARTIFACT, Split, load_split, score_split
from sashiko_packs.selection.file import Selection

_ANY_THRESHOLD = 0.5  # the scores do not depend on it


def cached_scores(
    archive: Path, split: Split, *, split_sha256: str, name: str, home: Path
) -> Floats:
    """Returns the scores of a split, from the cache if artifact and split have not changed.

    The artifact reads the split's columns by its own template.

    Args:
        archive: the artifact, `model.tar.gz`.
        split: the rows.
        split_sha256: the digest of the split's folder.
        name: what is scored, in messages.
        home: the folder of all local state, which has the cache.

    Returns:
        P(positive) of each row, float64, shape (rows,).

    Raises:
        InputError: if the artifact is damaged, or its handler refuses a text.
    """
    inputs = {"artifact": sha256_file(archive), "split": split_sha256}
    path = home / "cache" / "scores" / f"{sha256_bytes(canonical_json(inputs))}.parquet"
    if path.is_file():
        try:
            cached = read_columns(path, ["key", "score"])
        except InputError:
            path.unlink()  # damaged: score again
        else:
            if tuple(cached["key"].to_pylist()) == split.keys:
                scores: Floats = cached["score"].to_numpy().astype(np.float64)
                return scores
    with open_artifact(archive, threshold=_ANY_THRESHOLD) as model:
        scores = score_split(model, split.read_by(model), name=name)[:, 1]
    write_table(path, pa.table({"key": pa.array(split.keys), "score": pa.array(scores)}))
    return scores


PREPARE, WEIGHTS, COMPILE = "Prepare", "Weights", "Compile"
_RATIO = "DI"
_ORDER = (PREPARE, WEIGHTS, COMPILE)  # each step waits for those before it


class IncompleteRunError(Exception):
    """A run was blocked, failed or interrupted."""

    def __init__(self, record: RunRecord) -> None:
        """Takes the run's record."""
        super().__init__(record.reason)
        self.record = record


def run_recipe(
    settings: Settings,
    recipe: Recipe,
    *,
    until: str,
    home: Path,
    command: str,
    from_step: str | None = None,
) -> RunRecord:
    """Runs a recipe on this machine up to a step; what earlier runs did comes from the cache.

    Raises:
        IncompleteRunError: if the run was blocked, failed or interrupted.
        InputError: if the run is refused.
    """
    record = run_pipeline(
        settings, recipe, home=home, from_step=from_step, until=until, command=command
    )
    if record.status != "partial":
        raise IncompleteRunError(record)
    return record


class Runs:
    """The runs that a selection needs, each made once."""

    def __init__(
        self, settings: Settings, needs: Mapping[str, str], *, home: Path, command: str
    ) -> None:
        """Takes what `needed_runs` returns; nothing runs yet."""
        self.store = Store(home / "s3")
        self._settings, self._needs, self._home, self._command = settings, needs, home, command
        self._records: dict[str, RunRecord] = {}

    def of(self, recipe: Recipe) -> RunRecord:
        """Runs a recipe as far as the selection needs it.

        Raises:
            IncompleteRunError: if the run was blocked, failed or interrupted.
            InputError: if the run is refused.
        """
        digest = recipe_sha256(recipe)
        if digest not in self._records:
            self._records[digest] = run_recipe(
                self._settings,
                recipe,
                until=self._needs[digest],
                home=self._home,
                command=self._command,
            )
        return self._records[digest]

    def output(self, run: RunRecord, step: str, output: str) -> Path:
        """Returns the folder of a step's output."""
        return self.store.path(run.step(step).outputs[output].uri)

    def refuse_seen(self, run: RunRecord, test: Split, *, name: str) -> None:
        """Refuses a model that was trained, or whose threshold was chosen, on a test row.

        A row is another one's twin if it has its key, or its text but for letter case and spaces.

        Raises:
            InputError: naming the candidate, its run and the key of a test row.
        """
        for split in ("train", "validation"):
            rows = load_split(self.output(run, PREPARE, split))
            keys, texts = set(rows.keys), set(map(normalise, (*rows.texts, *rows.rows)))
            # A linear model's texts are rows, and another one's sentences.
            twins = [test.texts, *([test.rows] if test.rows else [])]
            seen = [
                key
                for key, *forms in zip(test.keys, *twins, strict=True)
                if key in keys or not texts.isdisjoint(map(normalise, forms))
            ]
            if seen:
                raise InputError(
                    f"candidate {name}: {len(seen)} of the selection's test rows, such as key "
                    f"{min(seen)}, are in the {split} split of run {run.id}, by key or by text: "
                    "its figures would be too good; compare recipes over the same contract and data"
                )


def needed_runs(
    selection: Selection, recipes: Mapping[str, Recipe], rows: Recipe
) -> dict[str, str]:
    """Returns the digests of the recipes that have to run -> the last step that is needed.

    `recipes` are by candidate; those of Bedrock have none. `rows` gives the test split.
    """
    needs = {recipe_sha256(rows): PREPARE}
    for name, recipe in recipes.items():
        kind = selection.candidates[name].kind
        if kind == "version":  # its run is a past one
            continue
        step = COMPILE if kind == "recipe" else WEIGHTS if recipe.bias.judged else PREPARE
        digest = recipe_sha256(recipe)
        needs[digest] = max(step, needs.get(digest, PREPARE), key=_ORDER.index)
    return needs


@dataclass(frozen=True)
class Validation:
    """The validation rows of one trained model, with its scores and their facets."""

    labels: Ints  # 0 or 1, shape (rows,)
    scores: Floats  # P(positive), shape (rows,)
    train_labels: Ints
    contract: Contract
    config: AnalysisConfig
    data: Dataset  # labels and facets of the rows, without predictions
    inputs: dict[str, str]  # `validation` and `facets` -> digest

    def model(self, threshold: float) -> ModelScores:
        """Returns the model's scores with a threshold."""
        return ModelScores(two_classes(self.scores), threshold)

    def bias_estimates(
        self, predicted: Bools, section: BiasSection, *, every_ratio: bool = False
    ) -> Iterator[BiasEstimate]:
        """Yields the gated metrics of the gated groups, as JudgeBias computes them.

        `predicted` has the shape (rows,). With `every_ratio` DI of each group of a facet is
        estimated too, gated or not.
        """
        values = pa.chunked_array([pa.array(np.where(predicted, "1", "0"))])
        column = Column(contract_config.PREDICTED_LABEL, values, self.data.label.file)
        data = replace(self.data, predicted=column)
        counts = count_groups(self.config, data)
        groups = analyse_stage(self.contract, section, None, data=data, group_counts=counts)
        looks = looks_of(section, {"post_training": groups})
        gates = section.prediction_gates
        gated = (gate.metric for gate in gates)
        metrics = dict.fromkeys([*([_RATIO] if every_ratio else []), *gated])
        for subgroup, stratified in groups.subgroups():
            for metric in metrics:
                reported = every_ratio and metric == _RATIO and not subgroup.is_intersection
                if reported or any(gate_applies(gate, metric, subgroup) for gate in gates):
                    # One stratum has the same distribution and is many times faster to resample.
                    conditional = METRICS[metric].conditional
                    cells = stratified if conditional else stratified.collapse_strata()
                    measures = {metric: measure(metric, cells)}
                    yield from subgroup_estimates(
                        "post_training", subgroup, measures, counts=cells, looks=looks
                    )


def read_validation(run: RunRecord, contract: Contract, *, home: Path) -> Validation:
    """Reads and scores the validation split of a run that compiled its model.

    It needs neither Evaluate nor the test split: the artifact's own handler scores the rows.

    Raises:
        InputError: if an output is missing, a text is refused, or a row has no facet.
    """
    folder = Store(home / "s3").path(run.step("Prepare").outputs["validation"].uri)
    split = load_split(folder)
    artifact = run.step(COMPILE).outputs["artifact"]
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
    config = contract_config.analysis_config(contract, kind="post")
    train = store.path(run.step("Prepare").outputs["train"].uri) / "data.parquet"
    return Validation(
        labels=split.labels,
        scores=scores,
        train_labels=read_columns(train, ["label"])["label"].to_numpy().astype(np.int64),
        contract=contract,
        config=AnalysisConfig.model_validate(config),
        data=Dataset(
            label=Column(contract_config.LABEL, labels.cast(pa.string()), folder),
            predicted=None,
            facets=tuple(columns[facet.column] for facet in contract.facets),
            group=columns.get(contract_config.GROUP_VARIABLE),
        ),
        inputs={
            "validation": run.step("Prepare").outputs["validation"].sha256,
            "facets": run.step("SnapshotFacets").outputs["data"].sha256,
        },
    )


def judge_quality(
    recipe: Recipe,
    gates: Sequence[QualityGate],
    estimates: Estimates,
    leads: Mapping[str, Estimates],
) -> Iterable[Check]:
    """Judges estimates, and leads by name of the other model, by gates as JudgeQuality does."""
    training = Training(
        train=recipe.train,
        reweighing=recipe.reweighing,
        train_rows=recipe.data.train_rows,
        linear=not recipe.model.pretrained,
    )
    section = QualitySection.model_construct(gates=tuple(gates))
    return quality_checks(section, estimates, leads, training)


def judge_bias(
    recipe: Recipe, gates: Sequence[BiasGate], estimates: Sequence[BiasEstimate]
) -> Iterable[Check]:
    """Judges estimates of bias by gates as JudgeBias does."""
    mitigation = Mitigation(reweighing=recipe.reweighing, threshold=recipe.evaluate.threshold)
    section = recipe.bias.model_copy(update={"gates": tuple(gates)})
    return bias_checks(section, estimates, mitigation)


@dataclass(frozen=True, kw_only=True)
class JudgedRows:
    """The rows, and what judges them."""

    recipe: Recipe  # gives text template, bias gates, bootstrap and seeds
    contract: Contract
    labels: tuple[str, str]  # the negative and the positive one
    train: Split  # of the recipe; the examples of a few-shot prompt are drawn from it
    test: Split
    test_sha256: str  # of the split's folder
    inputs: dict[str, str]  # `test`, and `facets` if bias is judged -> digest
    # The test rows with their facets, and no scores; None if the recipe does not judge bias.
    facets: Validation | None


def read_rows(recipe: Recipe, runs: Runs, *, home: Path) -> JudgedRows:
    """Reads the test split of a recipe, from its run.

    Raises:
        IncompleteRunError: if the run was blocked, failed or interrupted.
        InputError: if an output is missing, a row has no facets, or the label has more than two
            classes.
    """
    contract = load_contract(contract_file(recipe))
    labels = contract.pair("`sashiko select`")
    run = runs.of(recipe)
    folder = runs.output(run, PREPARE, "test")
    test = load_split(folder)
    sha256 = run.step(PREPARE).outputs["test"].sha256
    inputs, facets = {"test": sha256}, None
    if recipe.bias.judged:
        no_scores: Floats = test.labels.astype("float64")
        facets = with_facets(run, contract, test, no_scores, folder=folder, home=home)
        inputs["facets"] = run.step("SnapshotFacets").outputs["data"].sha256
    return JudgedRows(
        recipe=recipe,
        contract=contract,
        labels=labels,
        train=load_split(runs.output(run, PREPARE, "train")),
        test=test,
        test_sha256=sha256,
        inputs=inputs,
        facets=facets,
    )


def refuse_classified(recipe: Recipe, contract: Contract) -> None:
    """Refuses a text template with a column that the contract classifies, before rows are sent.

    Raises:
        InputError: naming the column.
    """
    for name in columns(recipe.text.template):
        classification = contract.column(name).classification
        if classification != "none":
            raise InputError(
                f"recipe {recipe.name}: key `text.template`: column `{name}` is classified "
                f"{classification} by {recipe.contract}: no request to Bedrock may contain it; "
                "take it out of the template"
            )


def refuse_other_text(recipe: Recipe, rows: JudgedRows, *, name: str) -> None:
    """Refuses a candidate that reads other texts, or another contract's rows.

    Raises:
        InputError: naming the candidate and the key.
    """
    ours = rows.recipe
    for key, theirs, expected in (
        ("contract", recipe.contract, ours.contract),
        ("text.template", recipe.text.template, ours.text.template),
        ("text.missing", recipe.text.missing, ours.text.missing),
    ):
        if theirs != expected:
            raise InputError(
                f"candidate {name}: key `{key}` of recipe {recipe.name} is {theirs!r}, and of "
                f"`rows.recipe` {expected!r}: the two cannot be compared on the same texts"
            )
