"""The test rows that every candidate is judged on, with their facets."""

from dataclasses import dataclass
from pathlib import Path

from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.data.splits import read_split_meta
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import Floats
from sashiko.pipeline.project import contract_file
from sashiko.serving.container.text import columns
from sashiko.settings.recipe import Recipe
from sashiko.steps.scored_splits import Split, load_split
from sashiko_packs.selection.runs import PREPARE, Runs
from sashiko_packs.selection.sweep.validation import Validation, with_facets


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
        InputError: if an output is missing, or a row has no facets.
    """
    run = runs.of(recipe)
    contract = load_contract(contract_file(recipe))
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
        labels=read_split_meta(runs.output(run, PREPARE, "meta")).labels,
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
