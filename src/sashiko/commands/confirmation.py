"""The question before something is deleted for good."""

import sys
from typing import Annotated

import typer

from sashiko.errors import InputError

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]


def confirm(subject: str, *, word: str) -> None:
    """Asks at the terminal whether `subject` may be deleted.

    Args:
        subject: what is deleted, as a noun phrase.
        word: what the user must type to agree.

    Raises:
        InputError: without a terminal to ask at, or if the answer is another one.
    """
    if not sys.stdin.isatty():
        raise InputError(f"deleting {subject} needs a confirmation: add --yes")
    answer = typer.prompt(f"This deletes {subject} for good. Type {word} to go on", err=True)
    if answer != word:
        raise InputError("nothing was deleted")
