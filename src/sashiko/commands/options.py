"""Options that several commands share."""

import datetime as dt
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from sashiko.contract.model import Delimiter, Encoding
from sashiko.errors import CHECK_FAILED, InputError

# `;` and `|` are special characters in a shell.
DELIMITERS: Mapping[str, Delimiter] = {"comma": ",", "semicolon": ";", "bar": "|", "tab": "\t"}
DECIMALS: Mapping[str, Literal[".", ","]] = {"point": ".", "comma": ","}
Facets = Annotated[
    list[str] | None, typer.Option("--facet", help="A column by which bias is judged; repeatable.")
]
DelimiterName = Annotated[
    Literal["comma", "semicolon", "bar", "tab"] | None,
    typer.Option("--delimiter", help="The separator of a CSV's values; default: detected."),
]
EncodingName = Annotated[
    Encoding | None, typer.Option("--encoding", help="The encoding of a CSV; default: detected.")
]
DecimalName = Annotated[
    Literal["point", "comma"] | None,
    typer.Option("--decimal", help="The decimal separator; default: detected."),
]
DateOrder = Annotated[
    Literal["dmy", "mdy"] | None,
    typer.Option("--date-order", help="The order in dates such as 01/02/2025; default: detected."),
]
WithRows = Annotated[
    bool, typer.Option("--with-rows", help="Put texts and keys of test rows into the report.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


@contextmanager
def problems_found() -> Iterator[None]:
    """Ends with the status of a check that found problems, where an input is refused."""
    try:
        yield
    except InputError as problem:
        print(f"error: {problem}", file=sys.stderr)
        raise typer.Exit(CHECK_FAILED) from problem


def confirm(subject: str, *, word: str) -> None:
    """Asks at the terminal whether `subject`, a noun phrase, may be deleted; `word` agrees.

    Raises:
        InputError: without a terminal to ask at, or if the answer is another one.
    """
    if not sys.stdin.isatty():
        raise InputError(f"deleting {subject} needs a confirmation: add --yes")
    answer = typer.prompt(f"This deletes {subject} for good. Type {word} to go on", err=True)
    if answer != word:
        raise InputError("nothing was deleted")


_DURATION: Final = re.compile(r"([1-9][0-9]{0,3})([hd])")
_HOURS: Final = {"h": 1, "d": 24}


def parse_time(text: str, *, option: str) -> dt.datetime:
    """Reads a day or a time in ISO 8601, which is UTC if it names no zone.

    Raises:
        InputError: naming the option, if it is something else.
    """
    try:
        time = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{option} {text}: expected a day or a time in ISO 8601, such as 2026-03-09 or "
            "2026-03-09T12:00"
        ) from error
    return time.astimezone(dt.UTC) if time.tzinfo else time.replace(tzinfo=dt.UTC)


def parse_duration(text: str, *, option: str) -> dt.timedelta:
    """Reads a number of days or hours, such as `7d` or `24h`.

    Raises:
        InputError: naming the option, if it is something else.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InputError(f"{option} {text}: expected days or hours, such as 7d or 24h")
    return dt.timedelta(hours=int(match[1]) * _HOURS[match[2]])


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns a line per row, each column as wide as its widest text."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


Environment = Annotated[
    str, typer.Option("--env", envvar="SASHIKO_ENV", help="The environment: a file in config/.")
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        envvar="SASHIKO_RECIPE",
        help="A recipe's name or file; default: `recipe` in config/.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a recipe's key for this run: train.epochs=1."),
]
Home = Annotated[
    Path, typer.Option("--home", envvar="SASHIKO_HOME", help="The folder of all local state.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
DeployedEnvironment = Annotated[
    str,
    typer.Option("--env", envvar="SASHIKO_ENV", help="The environment, which needs an account."),
]
Place = Annotated[
    str,
    typer.Option(
        "--env", envvar="SASHIKO_ENV", help="The environment, or `delivery` for the tools account."
    ),
]
TemplatesFolder = Annotated[
    Path, typer.Option("--templates", help="The output of `make synth` for the environment.")
]
