"""Pictures that several pages show are drawn once in a process: a page has a dozen."""

import inspect
import pickle
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

import pytest
from markupsafe import Markup


@pytest.fixture(scope="session")
def drawn() -> Iterator[None]:
    """Keeps each picture of the pages of runs for the next page that has the same."""
    from sashiko.report import plots
    from sashiko.run_report import explanations

    pictures: dict[tuple[str, bytes], Markup] = {}
    with pytest.MonkeyPatch.context() as patch:
        for module in (plots, explanations):
            for name, draw in inspect.getmembers(module, inspect.isfunction):
                if inspect.get_annotations(draw).get("return") is Markup:
                    patch.setattr(module, name, _once(draw, pictures))
        yield


def _once(
    draw: Callable[..., Markup], pictures: dict[tuple[str, bytes], Markup]
) -> Callable[..., Markup]:
    @wraps(draw)
    def picture(*args: Any, **options: Any) -> Markup:
        key = (draw.__qualname__, pickle.dumps((args, options)))
        if key not in pictures:
            pictures[key] = draw(*args, **options)
        return pictures[key]

    return picture
