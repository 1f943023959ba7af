"""`sashiko run --sweep`: accuracy against bias over reweighing strength and threshold."""

import json
import sys
from pathlib import Path

import typer

from sashiko.base.exit_status import BLOCKED, INTERRUPTED
from sashiko.commands.columns import align
from sashiko.errors import InputError
from sashiko.pipeline.project import use_recipe
from sashiko.settings.environment import Settings
from sashiko_packs.selection.sweep import Sweep, write_sweep
from sashiko_packs.selection.sweep_page import choice_lines, headline, outcome, shown_points


def run_sweep(
    settings: Settings,
    strengths: str | None,
    *,
    recipe: str | None,
    from_: str | None,
    set_: list[str] | None,
    as_of: str | None,
    home: Path,
    command: str,
    json_: bool,
) -> None:
    """Sweeps, writes the page, prints the table and the choice, and exits.

    Raises:
        InputError: if an option is not valid for a sweep, or the sweep fails.
    """
    from sashiko_packs.selection.sweep import DEFAULT_STRENGTHS, IncompleteRunError, sweep
    from sashiko_packs.selection.sweep_page import write_sweep_page

    if settings.tier != "local":
        raise InputError(
            f"--sweep --env {settings.environment}: a sweep runs only on this machine (--env local)"
            ": it joins scores with facets, which in an account only the bias evaluator's jobs may "
            "read"
        )
    if as_of is not None:
        raise InputError("--as-of: the local lake has one version of the data; leave it out")
    recipe_config = use_recipe(settings, recipe, overrides=tuple(set_ or ()))
    try:
        result = sweep(
            settings,
            recipe_config,
            strengths=DEFAULT_STRENGTHS if strengths is None else _numbers(strengths),
            home=home,
            from_step=from_,
            command=command,
        )
    except KeyboardInterrupt:
        print("interrupted; the same command takes up where it left off", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    except IncompleteRunError as ended:
        record = ended.record
        print(f"no sweep: {record.status}: run {record.id}: {record.reason}", file=sys.stderr)
        raise typer.Exit(record.exit_code) from None
    page = write_sweep_page(result, write_sweep(result, home))
    if json_:
        typer.echo(json.dumps(result.model_dump(mode="json"), indent=2))
    else:
        typer.echo(_text(result, page))
    raise typer.Exit(0 if result.chosen else BLOCKED)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(
            f"--strengths {text}: expected numbers with commas between, such as 0,1,1.5"
        ) from error


def _text(sweep: Sweep, page: Path) -> str:
    metrics = tuple(dict.fromkeys(("accuracy", sweep.metric)))
    names = (metric.replace("_", " ") for metric in metrics)
    rows = [("strength", "threshold", *sweep.checks, *names, "outcome")]
    for curve, point in shown_points(sweep):
        rows.append(
            (
                f"{curve.strength:g}",
                f"{point.threshold:.3g}{' (policy)' if point.by_policy else ''}",
                *(point.bias[check].text for check in sweep.checks),
                *(point.quality[metric].text for metric in metrics),
                outcome(sweep, curve, point),
            )
        )
    lines = [*align(rows), "", headline(sweep), *choice_lines(sweep)]
    if sweep.chosen:
        lines.append(f"  {sweep.chosen.command}")
    return "\n".join([*lines, f"report: {page}"])
