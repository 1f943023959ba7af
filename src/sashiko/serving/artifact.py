"""A served artifact on this machine, driven by the handler that it carries itself.

Score, `sashiko predict` and the local server all score through `Artifact`, which calls the
functions in `code/inference.py` in the way that the serving image's toolkit does.
"""

import importlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sashiko.errors import InputError
from sashiko.serving.container.prompt import RowTokenizer, parse_prompt
from sashiko.serving.inspection import refuse_pickles, unpack

JSON = "application/json"
# What one request scores is batched together, so where requests begin decides a score's last bits.
ROWS_PER_REQUEST = 1000
_ENTRY = "inference"
_THRESHOLD = "SASHIKO_THRESHOLD"
_ON_CPU = "SASHIKO_ON_CPU"


@dataclass(frozen=True)
class Answer:
    """The prediction for one input: the label, and the positive label's probability."""

    label: str
    score: float


class RequestRefusedError(InputError):
    """The handler refused a request.

    Attributes:
        position: which input is at fault, from 0; None if it is the request as a whole.
        reason: what is wrong with it.
    """

    def __init__(self, message: str, *, position: int | None, reason: str) -> None:
        """Takes the handler's message, and its parts."""
        super().__init__(message)
        self.position = position
        self.reason = reason


class Artifact:
    """A loaded artifact.

    Attributes:
        template: turns a row into a text.
        missing: stands for a null in that text.
        labels: the negative and the positive label.
    """

    def __init__(self, handler: ModuleType, folder: Path) -> None:
        """Loads the model with the handler's `model_fn`.

        Args:
            handler: the imported `inference` module.
            folder: the unpacked artifact.

        Raises:
            InputError: if the artifact is compiled for a different machine.
        """
        self._handler = handler
        try:
            self._model = handler.model_fn(str(folder))
        # The handlers of artifacts older than this class do not define it.
        except getattr(handler, "CannotServeError", ()) as error:
            raise InputError(str(error)) from error
        bundle = json.loads((folder / "serving.json").read_text())
        self._bundle, self._folder = bundle, folder
        self.template: str = bundle["template"]
        self.missing: str = bundle["missing"]
        self.labels: tuple[str, str] = tuple(bundle["labels"])

    def respond(self, body: bytes, *, content_type: str | None, accept: str | None) -> str:
        """Answers one request, as the toolkit does.

        Raises:
            RequestRefusedError: if the handler refuses the request.
        """
        # The handler of an older champion has three functions in place of `transform_fn`.
        transform = getattr(self._handler, "transform_fn", self._transform)
        try:
            return str(transform(self._model, body, content_type, accept))
        except self._handler.BadRequestError as error:
            raise RequestRefusedError(
                str(error), position=error.position, reason=error.reason
            ) from error

    def _transform(
        self, model: Any, body: bytes, content_type: str | None, accept: str | None
    ) -> str:
        inputs = self._handler.input_fn(body, content_type)
        return str(self._handler.output_fn(self._handler.predict_fn(inputs, model), accept))

    def predict(
        self,
        inputs: Sequence[str | Mapping[str, Any]],
        *,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> list[Answer]:
        """Scores any number of inputs, in requests of the size that the handler allows.

        Args:
            inputs: texts, or rows of column -> value; dates become ISO 8601 text.
            on_progress: called with the number of inputs scored so far.

        Returns:
            One answer per input, in their order.

        Raises:
            RequestRefusedError: if an input is refused; its `position` counts over all inputs.
        """
        answers: list[Answer] = []
        for start in range(0, len(inputs), ROWS_PER_REQUEST):
            chunk = list(inputs[start : start + ROWS_PER_REQUEST])
            body = json.dumps({"inputs": chunk}, default=format_scalar).encode()
            try:
                response = self.respond(body, content_type=JSON, accept=JSON)
            except RequestRefusedError as error:
                position = None if error.position is None else start + error.position
                raise RequestRefusedError(
                    str(error), position=position, reason=error.reason
                ) from error.__cause__
            answers += [Answer(item["label"], item["score"]) for item in json.loads(response)]
            on_progress(len(answers))
        return answers

    def cuts(self, texts: Sequence[str]) -> list[bool]:
        """Returns whether the model reads each text only in part, as it is too long."""
        if not self._bundle["truncate"]:
            return [False] * len(texts)
        longest = max(bucket["length"] for bucket in self._bundle["buckets"])
        prompt = self._bundle.get("prompt")
        tokenizer = RowTokenizer(
            (self._folder / "tokenizer.json").read_text(encoding="utf-8"),
            max_length=longest,
            truncate=False,
            prompt=parse_prompt(prompt) if prompt else None,
        )
        return [len(row) > longest for row in tokenizer.rows(texts)]


@contextmanager
def open_artifact(archive: Path, *, threshold: float, on_cpu: bool = False) -> Iterator[Artifact]:
    """Unpacks a `model.tar.gz`, loads it by its own handler, and removes the copy afterwards.

    Args:
        archive: the artifact.
        threshold: the probability at or above which the positive label is given.
        on_cpu: score an artifact for an accelerator by the model that it was compiled from.

    Raises:
        InputError: if the archive is missing or damaged, is not an artifact of Compile, contains a
            pickle, or is compiled for a different machine.
    """
    with tempfile.TemporaryDirectory(prefix="sashiko-artifact-") as name:
        folder = Path(name)
        unpack(archive, folder)
        refuse_pickles(folder, archive=archive)
        if not (folder / "code" / f"{_ENTRY}.py").is_file():
            raise InputError(f"{archive} has no code/{_ENTRY}.py: give an artifact of Compile")
        environment = {_THRESHOLD: repr(threshold), _ON_CPU: "1" if on_cpu else "0"}
        with _importable(folder / "code"), _environment(environment):
            artifact = Artifact(importlib.import_module(_ENTRY), folder)
        yield artifact


@contextmanager
def _importable(code: Path) -> Iterator[None]:
    """Makes the handler importable, apart from another artifact's modules of the same names.

    A handler imports its target's modules when it loads the model, and none later.
    """
    names = {path.stem for path in code.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.path.insert(0, str(code))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(str(code))
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def format_scalar(value: Any) -> str:
    """Formats a value that JSON has no type for: dates and times as ISO 8601, others as text."""
    return str(value.isoformat() if hasattr(value, "isoformat") else value)
