"""`sashiko contract ...`: draft a data contract, check one."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sashiko.commands import options
from sashiko.data.draft.review import describe_lines, review_lines
from sashiko.errors import CHECK_FAILED, InputError

if TYPE_CHECKING:
    from sashiko.contract.load_spec import Ruleset
    from sashiko.contract.model import Contract

app = typer.Typer(help="Draft a data contract for a file, or check one.", no_args_is_help=True)
_LISTED_RULES = 3  # rules


@app.command()
def init(
    data: Annotated[
        Path, typer.Argument(help="A CSV or Parquet file; with --from-glue, DATABASE.TABLE.")
    ],
    label: Annotated[str, typer.Option(help="The column to predict, with 2 to 20 values.")],
    from_glue: Annotated[
        bool,
        typer.Option("--from-glue", help="Draft the contract of a table in --env's Glue catalog."),
    ] = False,
    env: options.Environment = "local",
    facet: options.Facets = None,
    name: Annotated[
        str | None, typer.Option(help="The name of contract and recipe; default: the file's.")
    ] = None,
    delimiter: options.DelimiterName = None,
    encoding: options.EncodingName = None,
    decimal: options.DecimalName = None,
    date_order: options.DateOrder = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the files of an earlier draft.")
    ] = False,
) -> None:
    """Draft a contract and a recipe for a data file; review each guess before you run it."""
    from sashiko.data.draft.csv_format import FormatOptions
    from sashiko.data.draft.guess import make_draft
    from sashiko.data.draft.naming import project_name
    from sashiko.data.draft.write import check_place, refuse_existing, source_path, write_draft

    if name is None:
        name = project_name(Path(data.suffix[1:]) if from_glue else data)
    check_place(name)
    if not replace:
        refuse_existing(name)
    if from_glue:
        from sashiko.account.existing_lake import draft_from_glue
        from sashiko.settings.environment import load_deployed

        if facet or delimiter or encoding or decimal or date_order:
            raise InputError("--from-glue reads no rows: name facets in the draft, and no format")
        contract = draft_from_glue(load_deployed(env), str(data), name=name, label=label)
        typer.echo(describe_lines(contract, review_lines(contract)))
        return
    form = FormatOptions(
        delimiter=None if delimiter is None else options.DELIMITERS[delimiter],
        encoding=encoding,
        decimal=None if decimal is None else options.DECIMALS[decimal],
        date_order=date_order,
    )
    draft = make_draft(
        data,
        name=name,
        source=source_path(data),
        label=label,
        facets=tuple(facet or ()),
        options=form,
    )
    for note in draft.notes:
        print(f"{data.name}: {note}", file=sys.stderr)
    contract, recipe = write_draft(draft)
    for path in (contract, recipe):
        typer.echo(describe_lines(path, review_lines(path)))
    print(
        "Read each line, correct it, and remove its `# review` comment; then: "
        f"sashiko contract check {contract}, and sashiko run --recipe {name}",
        file=sys.stderr,
    )


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="An ODCS YAML file.")], json_: options.AsJson = False
) -> None:
    """Check that a data contract is valid. List its columns, and what is left to review.

    It checks the rules of the Open Data Contract Standard and of the engine, and that each quality
    rule can be evaluated. Exit status: 0 valid and reviewed; 4 not; 1 an error.
    """
    from sashiko.contract.load import load_contract
    from sashiko.contract.load_spec import dqdl_ruleset
    from sashiko.contract.suite_checks import expectation_suite

    if not file.is_file():
        raise InputError(f"{file} does not exist")
    with options.problems_found():
        contract = load_contract(file)
        suite = expectation_suite(contract, "all")
        ruleset = dqdl_ruleset(contract)
    # The marks of `init`, in the recipe of the same name too.
    recipe = Path("recipes") / f"{file.name.removesuffix('.odcs.yaml')}.yaml"
    drafts = [file, *([recipe] if recipe.is_file() else [])]
    unreviewed = {path: lines for path in drafts if (lines := review_lines(path))}
    if json_:
        extra = {
            "dqdl": ruleset.text,
            "not_in_dqdl": dict(ruleset.unmapped),
            "unreviewed": {str(path): lines for path, lines in unreviewed.items()},
        }
        typer.echo(json.dumps(contract.model_dump(mode="json") | extra, indent=2))
    else:
        for line in _lines(file, contract, ruleset, rules=len(suite.expectations)):
            typer.echo(line)
        for path, lines in unreviewed.items():
            typer.echo(describe_lines(path, lines))
    if unreviewed:
        raise typer.Exit(CHECK_FAILED)


def _lines(path: Path, contract: "Contract", ruleset: "Ruleset", *, rules: int) -> Iterator[str]:
    yield f"{path}: valid; {contract.id} {contract.version}, table {contract.table}"
    for column in contract.columns:
        yield f"  {column.name:<24} {column.logical_type:<10} {column.classification}"
    yield f"  {rules} expectations, {len(ruleset.rules)} of them in DQDL too"
    by_reason: dict[str, list[str]] = {}
    for rule, reason in ruleset.unmapped.items():  # a line a reason; `--json` names each rule
        by_reason.setdefault(reason, []).append(rule)
    for reason, names in by_reason.items():
        remaining = len(names) - _LISTED_RULES
        listing = ", ".join(names[:_LISTED_RULES]) + f" and {remaining} more" * (remaining > 0)
        count = "1 rule" if len(names) == 1 else f"{len(names)} rules"
        yield f"  not in DQDL, {count} ({listing}): {reason}"
