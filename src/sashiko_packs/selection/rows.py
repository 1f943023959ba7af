"""The rows that candidates are judged on: runs, test rows, a model's validation split, scores."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from sashiko.base.files import canonical_json, sha256_bytes, sha256_file
from sashiko.base.parquet import open_parquet, read_columns, write_table
from sashiko.bias.clarify import contract_config
from sashiko.bias.clarify.analysis import AnalysisConfig
from sashiko.bias.clarify.counting import Column, Dataset, count_groups
from sashiko.bias.gates.bias_gate import Mitigation, bias_checks
from sashiko.bias.gates.estimates import BiasEstimate, gate_applies
from sashiko.bias.metrics.bias_table import METRICS, measure
from sashiko.bias.metrics.number_bias import PredictedNumbers
from sashiko.bias.steps.bias_estimates import (
    analyse_stage,
    looks_of,
    number_estimates,
    subgroup_estimates,
)
from sashiko.bias.steps.facet_join import facets_of
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import Estimates
from sashiko.evaluation.gates.quality_checks import Training, quality_checks
from sashiko.evaluation.gates.verdict import Check
from sashiko.evaluation.metrics.arrays import (
    Floats,
    Ints,
    ModelScores,
    Truth,
    two_classes,
)
from sashiko.evaluation.metrics.classes import ClassRates
from sashiko.evaluation.metrics.numbers import covered_rows
from sashiko.pipeline.local_run import run_pipeline
from sashiko.pipeline.project import check_recipe, contract_file, recipe_sha256
from sashiko.pipeline.runner.run_record import RunRecord
from sashiko.pipeline.runner.store import Store
from sashiko.serving.artifact import open_artifact
from sashiko.serving.container.text import columns, normalise
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_bias import BiasGate, BiasSection
from sashiko.settings.recipe_quality import QualityGate, QualitySection
from sashiko.steps.comparators import decide_threshold, majority_baseline
from sashiko.steps.scored_splits import ARTIFACT, Split, load_split, score_split
from sashiko_packs.selection.file import ORDERING, Selection

_ANY_THRESHOLD = 0.5  # the scores do not depend on it


def has_threshold(contract: Contract) -> bool:
    """Returns whether a label is decided at a threshold: two classes are."""
    return len(contract.classes) == 2 and not contract.is_number


def cached_scores(
    archive: Path, split: Split, *, split_sha256: str, name: str, home: Path
) -> ModelScores:
    """Returns the scores of a split, from the cache if artifact and split have not changed.

    The artifact reads the split's columns by its own template.

    Args:
        archive: the artifact, `model.tar.gz`.
        split: the rows.
        split_sha256: the digest of the split's folder.
        name: what is scored, in messages.
        home: the folder of all local state, which has the cache.

    Returns:
        The scores, and the half width of a number's interval, at a threshold that says nothing.

    Raises:
        InputError: if the artifact is damaged, or its handler refuses a text.
    """
    inputs = {"artifact": sha256_file(archive), "split": split_sha256}
    path = home / "cache" / "scores" / f"{sha256_bytes(canonical_json(inputs))}.parquet"
    if path.is_file():
        try:
            cached = read_columns(path, open_parquet(path).schema_arrow.names)
        except InputError:
            path.unlink()  # damaged: score again
        else:
            if tuple(cached["key"].to_pylist()) == split.keys:
                return _read_scores(cached)
    with open_artifact(archive, threshold=_ANY_THRESHOLD) as model:
        scores = score_split(model, split.read_by(model), name=name)
        half_width = model.half_width
    columns = {"score": pa.array(scores[:, -1])}
    if scores.shape[1] != 2:
        widths = pa.array([half_width] * len(scores), pa.float64())
        columns = {"scores": pa.array(list(scores)), "half_width": widths}
    write_table(path, pa.table({"key": pa.array(split.keys)} | columns))
    return ModelScores(scores, _ANY_THRESHOLD, half_width)


def _read_scores(cached: pa.Table) -> ModelScores:
    if "score" in cached.column_names:
        scores: Floats = cached["score"].to_numpy().astype(np.float64)
        return ModelScores(two_classes(scores), _ANY_THRESHOLD)
    scores, half_width = np.array(cached["scores"].to_pylist()), cached["half_width"][0].as_py()
    return ModelScores(scores, _ANY_THRESHOLD, half_width)


PREPARE, COMPILE = "Prepare", "Compile"
_RATIO = "DI"
# Where a run for its test rows alone may end: Prepare does not wait for the gate.
_SPLIT = f"DataGate,{PREPARE}"


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
    """Runs a recipe on this machine up to some steps; what earlier runs did comes from the cache.

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


def threshold_of(recipe: Recipe, contract: Contract, labels: Ints, model: ModelScores) -> float:
    """Returns a model's threshold by its scores of the validation split, or a number's bound."""
    if contract.label.above is not None:
        return contract.label.above
    return decide_threshold(recipe.evaluate.threshold, labels, model.scores).threshold


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
    """Returns the digests of the recipes that have to run -> the last steps that are needed.

    `recipes` are by candidate; those of Bedrock have none. `rows` gives the test split.
    """
    needs = {recipe_sha256(rows): _SPLIT}
    for name, recipe in recipes.items():
        if selection.candidates[name].kind != "version":  # its run is a past one
            needs[recipe_sha256(recipe)] = COMPILE
    return needs


@dataclass(frozen=True, kw_only=True)
class FacetRows:
    """Rows with their facets."""

    labels: Ints  # index of each row's class, or of a number's outcome, shape (rows,)
    values: Floats | None = None  # of a number
    contract: Contract
    config: AnalysisConfig
    data: Dataset  # labels and facets of the rows, without predictions
    inputs: dict[str, str]  # `validation` and `facets` -> digest

    @property
    def truth(self) -> Truth:
        """What the metrics compare with: labels, or the values of a number."""
        return self.labels if self.values is None else self.values

    def bias_estimates(
        self, model: ModelScores, section: BiasSection, *, every_ratio: bool = False
    ) -> Iterator[BiasEstimate]:
        """Yields the gated metrics of the gated groups, as JudgeBias computes them.

        With `every_ratio` DI of each group of a facet is estimated too, gated or not.
        """
        values = outcome_texts(self.contract, model.predicted)
        column = Column(contract_config.PREDICTED_LABEL, values, self.data.label.file)
        data = replace(self.data, predicted=column)
        counts = count_groups(self.config, data)
        groups = analyse_stage(self.contract, section, None, data=data, group_counts=counts)
        looks = looks_of(section, {"post_training": groups})
        gates = section.prediction_gates
        gated = (gate.metric for gate in gates if not gate.of_numbers)
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
        if self.values is not None:
            covered = covered_rows(self.values, model)
            numbers = PredictedNumbers(self.values, model.scores[:, 0], covered)
            facets = {column.name: column.values for column in self.data.facets}
            for item in number_estimates(self.contract, section, numbers, facets, looks=looks):
                if any(gate_applies(gate, item.metric, item) for gate in gates):
                    yield item


@dataclass(frozen=True, kw_only=True)
class Validation(FacetRows):
    """The validation rows of one trained model, with its scores and their facets."""

    scored: ModelScores  # at any threshold
    train: Truth  # labels of the train split, or a number's values

    def model(self, threshold: float) -> ModelScores:
        """Returns the model's scores with a threshold."""
        return replace(self.scored, threshold=threshold)

    def constant(self) -> ModelScores:
        """Scores the rows by the baseline that reads no text."""
        return constant_baseline(self.contract, self.train, rows=len(self.labels))


def outcome_texts(contract: Contract, classes: Ints) -> pa.ChunkedArray:
    """Returns whether classes, indices of shape (rows,), are favourable: 1, or 0."""
    favourable = classes >= contract.first_favourable
    return pa.chunked_array([pa.array(np.where(favourable, "1", "0"))])


def read_validation(run: RunRecord, contract: Contract, *, home: Path) -> Validation:
    """Reads and scores the validation split of a run that compiled its model.

    It needs neither Evaluate nor the test split: the artifact's own handler scores the rows.

    Raises:
        InputError: if an output is missing, a text is refused, or a row has no facet.
    """
    folder = Store(home / "s3").path(run.step("Prepare").outputs["validation"].uri)
    split = load_split(folder)
    artifact = run.step(COMPILE).outputs["artifact"]
    scored = cached_scores(
        Store(home / "s3").path(artifact.uri) / ARTIFACT,
        split,
        split_sha256=run.step("Prepare").outputs["validation"].sha256,
        name="validation",
        home=home,
    )
    rows = with_facets(run, contract, split, folder=folder, home=home)
    train = load_split(Store(home / "s3").path(run.step("Prepare").outputs["train"].uri))
    return Validation(**vars(rows), scored=scored, train=train.truth)


def with_facets(
    run: RunRecord, contract: Contract, split: Split, *, folder: Path, home: Path
) -> FacetRows:
    """Joins a split with the run's facets.

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
    # The metrics of predictions count favourable outcomes. A class that is predicted need not have
    # a row here.
    config["label_values_or_threshold"] = [1]
    return FacetRows(
        labels=split.labels,
        values=split.values,
        contract=contract,
        config=AnalysisConfig.model_validate(config),
        data=Dataset(
            label=Column(contract_config.LABEL, outcome_texts(contract, split.labels), folder),
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
    *,
    by_class: Mapping[str, ClassRates],
) -> Iterable[Check]:
    """Judges estimates, and leads by name of the other model, by gates as JudgeQuality does."""
    training = Training(
        train=recipe.train,
        reweighing=recipe.reweighing,
        train_rows=recipe.data.train_rows,
        linear=not recipe.model.pretrained,
    )
    section = QualitySection.model_construct(gates=tuple(gates))
    return quality_checks(section, estimates, leads, training, by_class=by_class)


def judge_bias(
    recipe: Recipe,
    gates: Sequence[BiasGate],
    estimates: Sequence[BiasEstimate],
    *,
    contract: Contract,
) -> Iterable[Check]:
    """Judges estimates of bias by gates as JudgeBias does."""
    threshold = recipe.evaluate.threshold if has_threshold(contract) else None
    mitigation = Mitigation(reweighing=recipe.reweighing, threshold=threshold)
    section = recipe.bias.model_copy(update={"gates": tuple(gates)})
    return bias_checks(section, estimates, mitigation)


@dataclass(frozen=True, kw_only=True)
class JudgedRows:
    """The rows, and what judges them."""

    recipe: Recipe  # gives text template, bias gates, bootstrap and seeds
    contract: Contract
    labels: tuple[str, ...]  # the contract's classes
    train: Split  # of the recipe; the examples of a few-shot prompt are drawn from it
    test: Split
    test_sha256: str  # of the split's folder
    inputs: dict[str, str]  # `test`, and `facets` if bias is judged -> digest
    facets: FacetRows | None  # of the test rows; None if the recipe does not judge bias


def constant_baseline(contract: Contract, train: Truth, *, rows: int) -> ModelScores:
    """Scores rows by the train split's classes (`majority`), or the mean of its numbers."""
    if contract.label.above is not None:
        return ModelScores(np.full((rows, 1), train.mean()), contract.label.above)
    labels = train.astype(np.int64)
    return majority_baseline(labels, rows=rows, classes=len(contract.classes))


def read_rows(recipe: Recipe, runs: Runs, *, home: Path) -> JudgedRows:
    """Reads the test split of a recipe, from its run.

    Raises:
        IncompleteRunError: if the run was blocked, failed or interrupted.
        InputError: if an output is missing, or a row has no facets.
    """
    contract = load_contract(contract_file(recipe))
    run = runs.of(recipe)
    folder = runs.output(run, PREPARE, "test")
    test = load_split(folder)
    sha256 = run.step(PREPARE).outputs["test"].sha256
    inputs, facets = {"test": sha256}, None
    if recipe.bias.judged:
        facets = with_facets(run, contract, test, folder=folder, home=home)
        inputs["facets"] = run.step("SnapshotFacets").outputs["data"].sha256
    return JudgedRows(
        recipe=recipe,
        contract=contract,
        labels=contract.classes,
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


def refuse_other_label(selection: Selection, contract: Contract, *, recipe: Recipe) -> None:
    """Refuses what does not fit the label, before anything is trained.

    Raises:
        InputError: naming a key of the selection, and what it may be.
    """
    refuse_abstention(recipe)
    label = f"the label of {recipe.contract}"
    kinds = {candidate.kind: name for name, candidate in selection.candidates.items()}
    if contract.is_number and "bedrock" in kinds:
        raise InputError(
            f"key `candidates.{kinds['bedrock']}`: {label} is a number, and a model of Bedrock "
            "gives no interval around one, whose coverage is judged: leave the candidate out"
        )
    known = ORDERING["number" if contract.is_number else min(len(contract.classes), 3)]
    if selection.metric not in known:
        raise InputError(
            f"key `metric`: {selection.metric} does not fit {label}: choose one of "
            f"{', '.join(known)}"
        )
    # Gates and injections are checked as a recipe's.
    changes = {"injections": selection.injections}
    like = recipe.model_copy(
        update={
            "evaluate": recipe.evaluate.model_copy(update=changes),
            "quality": recipe.quality.model_copy(update={"gates": selection.musts.quality}),
        }
    )
    try:
        check_recipe(like, contract, source=Path("the selection"))
    except InputError as error:
        text = str(error).replace("`quality.gates.", "`musts.quality.")
        raise InputError(text.replace("`evaluate.injections`", "`injections`")) from error


def refuse_abstention(recipe: Recipe) -> None:
    """Refuses a recipe whose bias gates judge only rows that the model answers.

    Raises:
        InputError: naming the key.
    """
    if recipe.evaluate.abstain is not None:
        raise InputError(
            f"recipe {recipe.name}: key `evaluate.abstain`: models are compared, and swept, on "
            "every row: take it out with its gates, and set it again for the model you take"
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
