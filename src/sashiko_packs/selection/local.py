"""Candidates that run on this machine: the linear baseline, recipes, registered versions."""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from sashiko.account.prices import Prices
from sashiko.base.files import sha256_file
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import InjectionFigures
from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.pipeline.local_models import open_local
from sashiko.pipeline.runner.run_record import RunRecord, read_run
from sashiko.pipeline.scores import cached_scores
from sashiko.serving.artifact import Artifact, open_artifact
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_quality import EvaluateSection
from sashiko.steps.comparators import decide_threshold, fit_linear
from sashiko.steps.injection import Scorer, artifact_scorer, measure_injection
from sashiko.steps.scored_splits import ARTIFACT, load_split
from sashiko.training.examples import read_split, read_weights
from sashiko_packs.selection.file import Selection, VersionCandidate
from sashiko_packs.selection.rows import (
    COMPILE,
    PREPARE,
    WEIGHTS,
    CandidateScores,
    JudgedRows,
    Runs,
    instance_cost,
    time_requests,
)


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every candidate of this machine is judged with."""

    selection: Selection
    settings: Settings
    prices: Prices
    rows: JudgedRows
    runs: Runs
    home: Path  # the folder of all local state

    def injection(
        self, scorer: Scorer, model: ModelScores, *, answers: tuple[str, str]
    ) -> InjectionFigures | None:
        """Measures how many decisions prompt injections turn; None if the file asks for none."""
        if not self.selection.injections:
            return None
        section = EvaluateSection(
            injections=self.selection.injections, seed=self.rows.recipe.evaluate.seed
        )
        return measure_injection(section, scorer, self.rows.test.texts, model, answers=answers)


def linear_candidate(name: str, recipe: Recipe, bench: Bench) -> CandidateScores:
    """Fits the linear baseline of a recipe, with its weights and its threshold's policy.

    Raises:
        IncompleteRunError: if the recipe's run was blocked, failed or interrupted.
        InputError: if it was fitted on a test row, or on one label alone.
    """
    run = bench.runs.of(recipe)
    bench.runs.refuse_seen(run, bench.rows.test, name=name)
    folder = bench.runs.output(run, PREPARE, "train")
    train, validation = (
        load_split(bench.runs.output(run, PREPARE, split)) for split in ("train", "validation")
    )
    weights = None
    if recipe.bias.judged:
        channel = bench.runs.output(run, WEIGHTS, "weights")
        weights = read_weights(channel, read_split(folder)["key"]).astype(np.float64)
    model = fit_linear(train.texts, train.labels, weights=weights, seed=recipe.evaluate.seed)
    on_validation = model.scores(validation.texts)
    decision = decide_threshold(recipe.evaluate.threshold, validation.labels, on_validation)
    scores = ModelScores(model.scores(bench.rows.test.texts), decision.threshold)
    latency = time_requests(lambda text: model.scores([text]), bench.rows.test.texts)
    return CandidateScores(
        name=name,
        kind="linear",
        what=f"TF-IDF and logistic regression on {len(train.keys):,} rows of {recipe.name}",
        model=scores,
        has_scores=True,
        injection=bench.injection(
            Scorer(scores=lambda texts: model.scores(texts).tolist()),
            scores,
            answers=bench.rows.labels,
        ),
        latency=latency,
        cost=instance_cost(
            bench.prices, bench.settings, target="cpu", latency=latency, load=bench.selection.load
        ),
    )


def recipe_candidate(name: str, recipe: Recipe, bench: Bench) -> CandidateScores:
    """Trains a recipe's model, or takes it from the cache, at the threshold of its own policy.

    Raises:
        IncompleteRunError: if the recipe's run was blocked, failed or interrupted.
        InputError: if it was trained on a test row, or refuses a text.
    """
    run = bench.runs.of(recipe)
    bench.runs.refuse_seen(run, bench.rows.test, name=name)
    archive = bench.runs.output(run, COMPILE, "artifact") / ARTIFACT
    validation = load_split(bench.runs.output(run, PREPARE, "validation"))
    on_validation = cached_scores(
        archive,
        validation,
        split_sha256=run.step(PREPARE).outputs["validation"].sha256,
        name=f"{name}, validation",
        home=bench.home,
    )
    decision = decide_threshold(recipe.evaluate.threshold, validation.labels, on_validation)
    return _artifact_candidate(
        name, recipe, bench, archive=archive, threshold=decision.threshold, run=run, kind="recipe",
        what=f"{recipe.model.name}, fine-tuned by recipe {recipe.name}",
    )  # fmt: skip


def version_candidate(
    name: str, candidate: VersionCandidate, recipe: Recipe, bench: Bench
) -> CandidateScores:
    """Takes a registered version at its own threshold.

    Raises:
        InputError: if there is no such version, its run is gone, it was trained on a test row, or
            it refuses a text.
    """
    registry = open_local(bench.home, recipe=candidate.recipe)
    version = registry.version(recipe.model_package_group, candidate.version)
    folder = bench.home / "runs" / version.tags["execution_id"]
    try:
        run = read_run(folder)
    except InputError as error:
        raise InputError(
            f"candidate {name}: the run of {version.group} version {version.version} cannot be "
            f"read, so nobody can say whether it was trained on a test row: {error}; name a "
            "version of a run that is still there, or its recipe as `kind: recipe`"
        ) from error
    bench.runs.refuse_seen(run, bench.rows.test, name=name)
    with tempfile.TemporaryDirectory(prefix="sashiko-version-") as scratch:
        archive = registry.download(version, Path(scratch))
        return _artifact_candidate(
            name, recipe, bench, archive=archive, threshold=version.threshold, run=run,
            kind="version", what=f"{version.group} version {version.version}, {version.status}",
        )  # fmt: skip


def _artifact_candidate(
    name: str,
    recipe: Recipe,
    bench: Bench,
    *,
    archive: Path,
    threshold: float,
    run: RunRecord,
    kind: Literal["recipe", "version"],
    what: str,
) -> CandidateScores:
    """Scores the test rows with an artifact, and measures it."""
    rows = bench.rows
    model = ModelScores(
        cached_scores(
            archive, rows.test, split_sha256=rows.test_sha256, name=name, home=bench.home
        ),
        threshold,
    )
    print(f"{name}: timing single requests", file=sys.stderr)
    with open_artifact(archive, threshold=threshold) as artifact:
        _require_same(artifact, rows, name=name)
        latency = time_requests(lambda text: artifact.predict([text]), rows.test.texts)
        injection = bench.injection(
            artifact_scorer(artifact), model, answers=_answers(recipe, rows.labels)
        )
    return CandidateScores(
        name=name,
        kind=kind,
        what=what,
        model=model,
        has_scores=True,
        injection=injection,
        latency=latency,
        cost=instance_cost(
            bench.prices,
            bench.settings,
            target=recipe.compile.target,
            latency=latency,
            load=bench.selection.load,
        ),
        licence=recipe.model.licence or "not stated",
        sha256=sha256_file(archive),
        run=run.id,
    )


def _answers(recipe: Recipe, labels: tuple[str, str]) -> tuple[str, str]:
    """Returns what the model answers: a causal LM by its prompt, else the labels."""
    if recipe.prompt is None:
        return labels
    negative, positive = labels
    return recipe.prompt.answers[negative], recipe.prompt.answers[positive]


def _require_same(artifact: Artifact, rows: JudgedRows, *, name: str) -> None:
    """Refuses an artifact of another template or other labels: a version may be older."""
    text = rows.recipe.text
    for key, theirs, ours in (
        ("labels", artifact.labels, rows.labels),
        ("template", artifact.template, text.template),
        ("missing", artifact.missing, text.missing),
    ):
        if theirs != ours:
            raise InputError(
                f"candidate {name}: its artifact has `{key}` {theirs!r}, and `rows.recipe` "
                f"{ours!r}: the two cannot be compared on the same texts"
            )
