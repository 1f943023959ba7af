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
from concurrent.futures import ThreadPoolExecutor
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
ROWS_PER_REQUEST = 500
_ENTRY = "inference"
_THRESHOLD = "SASHIKO_THRESHOLD"
_ON_CPU = "SASHIKO_ON_CPU"
_THREADS = "OMP_NUM_THREADS"
_ONNX = "onnx_backend"


@dataclass(frozen=True)
class Answer:
    """The prediction for one input."""

    label: str | None  # None if none of several classes is probable enough
    # The probability of each class, in the order of the artifact's labels; about 1 in total. Of a
    # number, its predicted value alone.
    scores: tuple[float, ...]
    interval: tuple[float, float] | None = None  # of a number, in its unit

    @property
    def score(self) -> float:
        """The probability of the second of two classes, or the predicted value of a number.

        Raises:
            ValueError: if there are more classes, of which none stands for all.
        """
        if self.interval is not None:
            return self.value
        _, score = self.scores
        return score

    @property
    def value(self) -> float:
        """The predicted value of a number.

        Raises:
            ValueError: if the label has classes.
        """
        (value,) = self.scores
        return value


class RequestRefusedError(InputError):
    """The handler refused a request."""

    def __init__(self, message: str, *, position: int | None, reason: str) -> None:
        super().__init__(message)
        self.position = position  # which input is at fault, from 0; None: the request as a whole
        self.reason = reason  # what is wrong with it


class Artifact:
    """A loaded artifact."""

    def __init__(self, handler: ModuleType, folder: Path, *, at_once: int = 1) -> None:
        """Loads the model with `model_fn` of the imported handler.

        `at_once` is how many requests `predict` has answered at once.

        Raises:
            InputError: if the artifact is compiled for a different machine.
        """
        self._handler, self._at_once = handler, at_once
        try:
            self._model = handler.model_fn(str(folder))
        except handler.CannotServeError as error:
            raise InputError(str(error)) from error
        bundle = json.loads((folder / "serving.json").read_text())
        self._bundle, self._folder = bundle, folder
        self.template: str = bundle["template"]  # turns a row into a text
        self.missing: str = bundle["missing"]  # stands for a null in that text
        # Of the classes; of a number, of its two outcomes.
        self.labels: tuple[str, ...] = tuple(bundle["labels"])
        self._number: dict[str, float] | None = bundle.get("number")
        # Of the interval around a predicted number, in its unit; None if the label has classes.
        self.half_width = self._number["half_width"] if self._number else None

    def respond(self, body: bytes, *, content_type: str | None, accept: str | None) -> str:
        """Answers one request, as the toolkit does.

        Raises:
            RequestRefusedError: if the handler refuses the request.
        """
        handler, model = self._handler, self._model
        try:
            return str(handler.transform_fn(model, body, content_type, accept))
        except handler.BadRequestError as error:
            reason = error.reason
            raise RequestRefusedError(str(error), position=error.position, reason=reason) from error

    def predict(
        self,
        inputs: Sequence[str | Mapping[str, Any]],
        *,
        on_progress: Callable[[int], None] = lambda _: None,
    ) -> list[Answer]:
        """Scores any number of inputs, in requests of the size that the handler allows.

        Inputs are texts, or rows of column -> value; dates become ISO 8601 text. `on_progress` is
        called with the number of inputs scored so far.

        Returns:
            One answer per input, in their order.

        Raises:
            RequestRefusedError: if an input is refused; its `position` counts over all inputs.
        """
        starts = range(0, len(inputs), ROWS_PER_REQUEST)
        answers: list[Answer] = []
        several = self._at_once > 1 and len(starts) > 1  # threads cost more than a small request
        if several:
            self._request(inputs[:1], 0)  # a session opens on first use
        with ThreadPoolExecutor(max_workers=self._at_once) as pool:
            parts = (pool.map if several else map)(
                lambda start: self._request(inputs[start : start + ROWS_PER_REQUEST], start), starts
            )
            for part in parts:
                answers += part
                on_progress(len(answers))
        return answers

    def _request(self, inputs: Sequence[str | Mapping[str, Any]], start: int) -> list[Answer]:
        """Scores the inputs from `start` on in one request."""
        body = json.dumps({"inputs": list(inputs)}, default=format_scalar).encode()
        try:
            response = self.respond(body, content_type=JSON, accept=JSON)
        except RequestRefusedError as error:
            position = None if error.position is None else start + error.position
            raise RequestRefusedError(
                str(error), position=position, reason=error.reason
            ) from error.__cause__
        return [self._answer(item) for item in json.loads(response)]

    def _answer(self, item: Mapping[str, Any]) -> Answer:
        """Reads what the handler answers: one score of two classes, those of all, or a number."""
        if self._number:
            value, (low, high) = item["value"], item["interval"]
            return Answer(self.labels[value > self._number["above"]], (value,), (low, high))
        if "score" in item:
            return Answer(item["label"], (1 - item["score"], item["score"]))
        return Answer(item["label"], tuple(item["scores"][label] for label in self.labels))

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
def open_artifact(
    archive: Path, *, threshold: float, on_cpu: bool = False, at_once: int = 1
) -> Iterator[Artifact]:
    """Unpacks a `model.tar.gz`, loads it by its own handler, and removes the copy afterwards.

    The second of two labels is given at or above the threshold, and so is the likeliest of more; a
    number has none.
    `on_cpu` scores an artifact for an accelerator by the model that it was compiled from. `at_once`
    has ONNX graphs answer so many requests at once, each on one thread: threads that share the
    operators of a small model wait for each other half of the time. The scores are the same.

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
        # A handler imports its target's modules when it loads the model, and none later: apart from
        # another artifact's modules of the same names.
        code = folder / "code"
        settings = {_THRESHOLD: repr(threshold), _ON_CPU: "1" if on_cpu else "0"}
        if json.loads((folder / "serving.json").read_text())["backend"] != _ONNX:
            at_once = 1
        if at_once > 1:
            settings[_THREADS] = "1"
        modules = {path.stem for path in code.glob("*.py")}
        before = {module: sys.modules.pop(module) for module in modules & sys.modules.keys()}
        environment = dict(os.environ)
        os.environ |= settings
        sys.path.insert(0, str(code))
        importlib.invalidate_caches()
        try:
            artifact = Artifact(importlib.import_module(_ENTRY), folder, at_once=at_once)
        finally:
            sys.path.remove(str(code))
            for module in modules:
                sys.modules.pop(module, None)
            sys.modules.update(before)
            for variable in settings:
                os.environ.pop(variable)
                if variable in environment:
                    os.environ[variable] = environment[variable]
        yield artifact


def format_scalar(value: Any) -> str:
    """Formats a value that JSON has no type for: dates and times as ISO 8601, others as text."""
    return str(value.isoformat() if hasattr(value, "isoformat") else value)
