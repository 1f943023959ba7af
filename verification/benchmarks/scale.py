"""What each step that sees every row needs at a size, and on paper at 1e8 and 1e9 rows.

    python -m verification.benchmarks.scale --rows 100000 1000000 10000000 --write

The steps run one after the other on a lake of that many rows of the recipe's contract, as SageMaker
runs them: in processes of their own, on each other's outputs. The rows are the generator's, each
with a key and a word of its own, so that no two texts are equal. Train is left out, and the model's
scores are drawn: a model is measured apart, by the texts a second that Score does with the recipe's
own, as that depends on the model and not on the rows. Evaluate and the bias of the predictions are
left out above a million rows, as the resamples of their intervals would take hours.

What a step takes on paper: `scale_tables`.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from docs.between import between
from sashiko.aws.operations.cost.prices import PRICE_FILE, Prices
from sashiko.core.yaml_models import read_yaml, validate
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import load_recipe
from verification.benchmarks.runs import machine
from verification.benchmarks.scale_steps import PATTERN_ROWS, measure, pattern_rows, score_rate
from verification.benchmarks.scale_tables import measures, paper, scoring_lines

_PAGE = Path("docs/scale.md")
_MARKS = "<!-- scale: the three tables of the command -->\n", "<!-- end of the tables -->\n"


def main() -> None:
    """Prints the tables as Markdown on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="complaints", help="a recipe with a generator")
    parser.add_argument("--env", default="dev", help="whose instances and prices are taken")
    parser.add_argument("--rows", nargs="+", type=int, default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--scored", type=int, default=20_000, help="texts that Score is timed on")
    parser.add_argument("--write", action="store_true", help=f"write the tables into {_PAGE}")
    options = parser.parse_args()
    sizes = sorted(set(options.rows))
    if len(sizes) < 2 or sizes[0] < PATTERN_ROWS:
        parser.error(f"--rows: name at least two sizes of {PATTERN_ROWS:,} or more")
    recipe = load_recipe(Path("recipes") / f"{options.recipe}.yaml")
    uses = {}
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as folder:
        pattern = pattern_rows(recipe, Path(folder))
        rate = score_rate(recipe, pattern, rows=options.scored, root=Path(folder) / "score")
        for rows in sizes:
            print(f"{rows:,} rows ...", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=folder) as root:
                uses[rows] = measure(recipe, pattern, rows=rows, root=Path(root))
    settings = load_settings(options.env)
    prices = validate(Prices, read_yaml(PRICE_FILE), source=str(PRICE_FILE))
    named = ", ".join(f"{rows:,}" for rows in sizes)
    lines = [
        f"`{recipe.name}`'s contract at {named} rows on {machine()}.",
        "",
        *measures(uses),
        "",
        *paper(uses, settings.jobs.processing, settings.jobs.scoring, prices),
        "",
        *scoring_lines(rate, settings.jobs.scoring, prices),
    ]
    tables = "".join(f"{line}\n" for line in lines)
    print(tables, end="")
    if options.write:
        _PAGE.write_text(between(_PAGE, _MARKS, tables))


if __name__ == "__main__":
    main()
