"""The runs that a selection takes its rows and models from, each recipe once."""

from collections.abc import Mapping
from pathlib import Path

from sashiko.errors import InputError
from sashiko.pipeline.local_run import run_pipeline
from sashiko.pipeline.runner.record import RunRecord
from sashiko.pipeline.runner.store import Store
from sashiko.pipeline.selected import recipe_sha256
from sashiko.serving.container.text import normalise
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.steps.scored_splits import Split, load_split
from sashiko_packs.selection.file import Selection

PREPARE, WEIGHTS, COMPILE = "Prepare", "Weights", "Compile"
_ORDER = (PREPARE, WEIGHTS, COMPILE)  # each step waits for those before it


class IncompleteRunError(Exception):
    """A run was blocked, failed or interrupted."""

    def __init__(self, record: RunRecord) -> None:
        """Takes the run's record."""
        super().__init__(record.reason)
        self.record = record


class Runs:
    """Runs of recipes on this machine; what earlier runs did comes from the cache."""

    def __init__(
        self,
        settings: Settings,
        needs: Mapping[str, tuple[Recipe, str]],
        *,
        home: Path,
        command: str,
    ) -> None:
        """Takes what `needed_runs` returns; nothing runs yet.

        Args:
            settings: the environment.
            needs: digest of a recipe -> the recipe, and the last step that is needed of it.
            home: the folder of all local state.
            command: the command line, for the runs' records.
        """
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
            record = run_pipeline(
                self._settings,
                recipe,
                home=self._home,
                from_step=None,
                until=self._needs[digest][1],
                command=self._command,
            )
            if record.status != "partial":
                raise IncompleteRunError(record)
            self._records[digest] = record
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
            keys, texts = set(rows.keys), set(map(normalise, rows.texts))
            seen = [
                key
                for key, text in zip(test.keys, test.texts, strict=True)
                if key in keys or normalise(text) in texts
            ]
            if seen:
                raise InputError(
                    f"candidate {name}: {len(seen)} of the selection's test rows, such as key "
                    f"{min(seen)}, are in the {split} split of run {run.id}, by key or by text: "
                    "its figures would be too good; compare recipes over the same contract and data"
                )


def needed_runs(
    selection: Selection, recipes: Mapping[str, Recipe], rows: Recipe
) -> dict[str, tuple[Recipe, str]]:
    """Returns the recipes that have to run, each with the last step that is needed of it.

    Args:
        selection: the file.
        recipes: candidate -> its recipe; those of Bedrock have none.
        rows: the recipe whose test split is judged on.

    Returns:
        Digest of the recipe -> recipe and step.
    """
    needs = {recipe_sha256(rows): (rows, PREPARE)}
    for name, recipe in recipes.items():
        kind = selection.candidates[name].kind
        if kind == "version":  # its run is a past one
            continue
        step = COMPILE if kind == "recipe" else WEIGHTS if recipe.bias.judged else PREPARE
        digest = recipe_sha256(recipe)
        _, other = needs.get(digest, (recipe, PREPARE))
        needs[digest] = (recipe, max(step, other, key=_ORDER.index))
    return needs
