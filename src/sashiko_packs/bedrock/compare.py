"""An imported model against the judged one: prompts as text, scores, DeviceCheck's bounds."""

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import Field, ValidationError

from sashiko.account.account import Account
from sashiko.account.content_store import list_objects, read_object
from sashiko.account.names import Role
from sashiko.base.aws_calls import Advice
from sashiko.base.bedrock_calls import GuardrailVersion, ask, newest_guardrail
from sashiko.base.files import read_json, sha256_file, sha256_tree
from sashiko.base.yaml_models import Excerpt
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import DEVICE_GATE, Check, Verdict, decide, read_verdict
from sashiko.registry.preflight.version_check import Judged
from sashiko.registry.versions import ARTIFACT_FILE, predictions_uri
from sashiko.serving.container.answers import LARGEST_SHARE, SHOWN, Answered
from sashiko.serving.container.prompt import RowTokenizer, mark_special, parse_prompt
from sashiko.serving.inspection import refuse_pickles, unpack
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.steps.device.measurement import (
    Answer,
    DeviceFailedError,
    compare,
    device_checks,
    draw_sample,
    read_serving_config,
)
from sashiko_packs.bedrock.model_import import ImportedModel
from sashiko_packs.bedrock.settings import guardrail_name

# An imported model is asked by text, as a guardrail reads no token ids. The text is that of the
# judged row's tokens; whether a tokenizer makes the same tokens of it is known before it is asked.


@dataclass(frozen=True, kw_only=True)
class PromptText:
    """A row's prompt."""

    text: str
    tokens: int  # of the judged row
    # Whether the tokenizer makes the judged row's tokens of the text: not if the row spells a
    # control token, or was cut within a character.
    exact: bool


class PromptTexts:
    """Writes the prompts of an artifact's rows."""

    # The texts of the negative and the positive answer, as a service names their tokens.
    answers: tuple[str, str]

    def __init__(self, artifact: Path) -> None:
        """Reads an unpacked artifact.

        InputError if it is no causal LM's, or an answer's token has the text of another token: an
        answer by text would not tell them apart.
        """
        from tokenizers import Tokenizer

        file = artifact / "serving.json"
        config = read_json(file)
        if not config.get("prompt"):
            raise InputError(f"{file} has no prompt: the artifact is an encoder's")
        self._prompt = parse_prompt(config["prompt"])
        if len(self._prompt.answers) > 2:
            raise InputError(f"{file} has {len(self._prompt.answers)} answers, an import takes two")
        content = (artifact / "tokenizer.json").read_text(encoding="utf-8")
        longest = max(bucket["length"] for bucket in config["buckets"])
        self._rows = RowTokenizer(
            content, max_length=longest, truncate=config["truncate"], prompt=self._prompt
        )
        self._tokenizer: Any = Tokenizer.from_str(content)
        # Reads what spells a special or an added token as letters, as the judged row does.
        self._letters: Any = Tokenizer.from_str(content)
        mark_special(self._letters)
        self._letters.encode_special_tokens = True
        for tokenizer in (self._tokenizer, self._letters):
            tokenizer.no_padding()
            tokenizer.no_truncation()
        texts = [
            self._tokenizer.decode([token], skip_special_tokens=False)
            for token in range(self._tokenizer.get_vocab_size())
        ]
        for token in self._prompt.answers:
            if texts.count(texts[token]) > 1:
                raise InputError(
                    f"the answer {texts[token]!r} is the text of several tokens, and an answer "
                    "names tokens by their text: choose another word in the recipe's prompt.answers"
                )
        negative, positive = self._prompt.answers
        self.answers = texts[negative], texts[positive]

    def write(self, text: str) -> PromptText:
        """Returns the prompt of a row's text.

        A tokenizer that begins each text with a token of its own, such as BOS, adds that of the
        prompt, so the text is without it.
        """
        [row] = self._rows.rows([text])
        kept = len(row) - self._prompt.size
        offsets = self._letters.encode(text, add_special_tokens=False).offsets
        read = text[: offsets[kept - 1][1]] if kept else ""
        added = self._tokenizer.encode("", add_special_tokens=True).ids
        prefix = list(self._prompt.prefix)
        own = prefix[len(added) :] if prefix[: len(added)] == added else prefix
        written = f"{self._decode(own)}{read}{self._decode(self._prompt.suffix)}"
        ids = self._tokenizer.encode(written, add_special_tokens=True).ids
        return PromptText(text=written, tokens=len(row), exact=ids == row)

    def _decode(self, ids: Any) -> str:
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))


# The score of a row from an imported model's log probabilities, or the interval that it lies in.
#
# The score is the judged one: the probability of the positive answer's token at the last position
# of the prompt, over those of both answers. The model is asked in the format of OpenAI's
# completions, which the field `max_tokens` chooses, for one token and the most probable ones in its
# place ("Invoke your imported model" and "Advanced API features for imported models", Amazon
# Bedrock User Guide).


UNANSWERED = "no answer"
UNDECIDED = "undecided"


@dataclass(frozen=True, kw_only=True)
class ScoreRange:
    """What is known of a score; both ends are equal where both answers are among what is shown."""

    low: float
    high: float


class _Logprobs(Excerpt):
    top_logprobs: tuple[Mapping[str, float], ...] = Field(min_length=1)


class _Choice(Excerpt):
    logprobs: _Logprobs


class _Usage(Excerpt):
    prompt_tokens: int


class Completion(Excerpt):
    """An answer in the format of OpenAI's completions."""

    choices: tuple[_Choice, ...] = Field(min_length=1)
    usage: _Usage

    @property
    def shown(self) -> Mapping[str, float]:
        """Text of a token -> its log probability, of the most probable ones after the prompt."""
        return self.choices[0].logprobs.top_logprobs[0]


def read_completion(value: Any) -> Completion | None:
    """Reads the body of a response, a JSON value; None if the guardrail blocked one of the two.

    DeviceFailedError if it has no log probabilities in the format of OpenAI's completions.
    """
    try:
        # "Use your guardrail with inference operations to evaluate user input", Amazon Bedrock
        # User Guide.
        if value.get("amazon-bedrock-guardrailAction") == "INTERVENED":
            return None
        return Completion.model_validate(value)
    except (ValidationError, AttributeError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else None
        where = ".".join(str(part) for part in first["loc"]) if first else "the body"
        raise DeviceFailedError(
            f"an answer has no log probabilities in the format of OpenAI's completions ({where}: "
            f"{first['msg'] if first else error}): Bedrock gives them for models that were "
            "imported after 2025-11-11; import the version again"
        ) from error


def score_range(shown: Mapping[str, float], answers: tuple[str, str]) -> ScoreRange | None:
    """Returns the score, or its bounds; None if neither answer is among what is shown.

    A token that is not shown is at most as probable as the least probable one that is, and as what
    all of those leave. `shown` has text of a token -> natural logarithm of its probability,
    `answers` the texts of the negative and the positive answer.
    """
    # A server may add the token that it chose to the most probable ones.
    likely = sorted((math.exp(value) for value in shown.values()), reverse=True)[:SHOWN]
    most = min(likely[-1], max(0.0, 1.0 - math.fsum(likely))) if likely else 0.0
    negative, positive = (math.exp(shown.get(name, -math.inf)) for name in answers)
    if not (negative or positive):
        return None
    if not negative:
        return ScoreRange(low=positive / (positive + most), high=1.0)
    if not positive:
        return ScoreRange(low=0.0, high=most / (most + negative))
    score = positive / (positive + negative)
    return ScoreRange(low=score, high=score)


def worst_answer(
    known: ScoreRange | None, *, judged: float, threshold: float, labels: tuple[str, ...]
) -> Answer:
    """Returns the answer that is furthest from the judged score, of those that are possible.

    A score that lies on both sides of the threshold decides for no label, and a row without one is
    not answered: neither is equal to the judged label.
    """
    if known is None:
        return Answer(label=UNANSWERED, score=math.nan)
    score = max((known.low, known.high), key=lambda end: abs(end - judged))
    low, high = (labels[end >= threshold] for end in (known.low, known.high))
    return Answer(label=low if low == high else UNDECIDED, score=score)


COMPARED_BY: Final[Role] = "data-scientist"
IMPORT_GATE: Final = "imported-model"
_REPORT_EVERY = 50
_LATENCY = (
    "Bedrock loads a model at its first request, so the first answers are no measure of later ones"
)
_TRY = (
    "look at which rows differ with the same prompt on both; a service of another precision "
    "differs in single rows, one that reads another prompt in all"
)
_ADVICE: Advice = (
    (("AccessDenied", "not authorized"), "use the role that compares: docs/bedrock.md"),
    (
        ("ValidationException",),
        "the model may have been imported before 2025-11-11: import it again",
    ),
)


@dataclass(frozen=True, kw_only=True)
class _Row:
    known: ScoreRange | None  # None without an answer's token, or if the guardrail blocked it
    blocked: bool
    as_judged: bool  # the service read as many tokens as the judged row has, and the same ones


def compare_import(
    account: Account,
    settings: Settings,
    recipe: Recipe,
    judged: Judged,
    model: ImportedModel,
    *,
    files: Path,
    scratch: Path,
) -> Verdict:
    """Asks an imported model for rows of the test split, and judges as DeviceCheck does.

    The rows go to a model in the environment's own account and region, through its guardrail. The
    recipe's `device` draws them and sets the bounds; `files` has the version's files, as they were
    signed; `scratch` is an empty folder. InputError if the rows are not those that DeviceCheck
    judged, or AWS refuses a call.
    """
    archive = files / ARTIFACT_FILE
    rows = _copy_rows(account, judged, files, scratch)
    inputs = {"artifact": sha256_file(archive), **rows}
    config = read_serving_config(archive)
    sample = draw_sample(
        recipe.device,
        test=scratch / "test",
        predictions=scratch / "predictions/predictions.parquet",
        config=config,
    )
    folder = scratch / "artifact"
    folder.mkdir()
    unpack(archive, folder)
    refuse_pickles(folder, archive=archive)
    prompts = PromptTexts(folder)
    with account.translate_errors("bedrock:ListGuardrails", role=COMPARED_BY):
        guardrail = newest_guardrail(account.client("bedrock"), guardrail_name(settings))
    place = Check(name="compared with", passed=True, reason=f"{model.arn}, through {guardrail}")
    client, answers = account.client("bedrock-runtime"), []
    try:
        for number, text in enumerate(sample.texts, 1):
            prompt = prompts.write(text)
            answers.append(_ask(client, model, guardrail, prompt, prompts.answers))
            if number % _REPORT_EVERY == 0 or number == len(sample.texts):
                print(f"{number:,} of {len(sample.texts):,} rows are answered", file=sys.stderr)
    except DeviceFailedError as error:
        name = "answers of the imported model"
        failed = Check(name=name, passed=False, reason=str(error), try_=_TRY)
        return decide(gate=IMPORT_GATE, checks=[place, failed], inputs=inputs)
    threshold = float(judged.threshold)
    worst = [
        worst_answer(row.known, judged=float(score), threshold=threshold, labels=config.labels)
        for row, score in zip(answers, sample.scores[:, 0], strict=True)
    ]
    checks = device_checks(recipe.device, compare(sample, [worst]), latency_not_judged=_LATENCY)
    otherwise = sum(not row.as_judged for row in answers)
    passed = otherwise < len(answers)
    as_read = Check(
        name="prompts as judged",
        value=(len(answers) - otherwise) / len(answers),
        passed=passed,
        reason=f"the service reads {otherwise:,} of {len(answers):,} rows as other tokens than "
        "the judged model: their texts spell control tokens, or its tokenizer differs",
        try_="" if passed else _TRY,
    )
    checks = [place, as_read, *_notes(answers), *checks]
    return decide(gate=IMPORT_GATE, checks=checks, inputs=inputs)


def _copy_rows(account: Account, judged: Judged, files: Path, scratch: Path) -> dict[str, str]:
    """Copies test split and predictions, and returns their digests: those that DeviceCheck judged.

    InputError if DeviceCheck judged other rows or none, or the caller may not read them.
    """
    tags = judged.package.get("CustomerMetadataProperties", {})
    if not {"test_uri", "reference_uri"} <= tags.keys():
        raise InputError(
            f"{judged.package['ModelPackageArn']} does not say where its test split is: it was "
            "registered by an older engine; register it again"
        )
    uris = {"test": tags["test_uri"], "predictions": predictions_uri(tags["reference_uri"])}
    verdict = read_verdict(files / DEVICE_GATE)
    digests = {}
    for name, uri in uris.items():
        _copy(account, uri, scratch / name)
        digests[name] = sha256_tree(scratch / name)
        if verdict.inputs.get(name) != digests[name]:
            raise InputError(
                f"{uri} is not what DeviceCheck judged this version by ({verdict.summary}): "
                "register a version with DeviceCheck on, and compare that"
            )
    return digests


def _copy(account: Account, uri: str, folder: Path) -> None:
    folder.mkdir()
    for name in list_objects(account, uri, role=COMPARED_BY):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(read_object(account, f"{uri}/{name}", role=COMPARED_BY)[0])


def _ask(
    client: Any,
    model: ImportedModel,
    guardrail: GuardrailVersion,
    prompt: PromptText,
    answers: tuple[str, str],
) -> _Row:
    def invoke() -> Any:
        body = {"prompt": prompt.text, "max_tokens": 1, "temperature": 0, "logprobs": SHOWN}
        response = client.invoke_model(
            modelId=model.arn,
            body=json.dumps(body).encode(),
            contentType="application/json",
            accept="application/json",
            guardrailIdentifier=guardrail.id,
            guardrailVersion=guardrail.version,
        )
        return json.loads(response["body"].read())

    completion = read_completion(ask(invoke, f"ask {model.arn}", advice=_ADVICE))
    if completion is None:
        return _Row(known=None, blocked=True, as_judged=True)
    return _Row(
        known=score_range(completion.shown, answers),
        blocked=False,
        as_judged=prompt.exact and completion.usage.prompt_tokens == prompt.tokens,
    )


def _notes(rows: Sequence[_Row]) -> Iterator[Check]:
    """Yields what is not a number to judge: rows without a score, and those with a bound alone."""
    blocked = sum(row.blocked for row in rows)
    unknown = sum(row.known is None for row in rows) - blocked
    bounded = sum(row.known is not None and row.known.low < row.known.high for row in rows)
    if blocked or unknown:
        yield Check(
            name="rows with an answer",
            value=(len(rows) - blocked - unknown) / len(rows),
            passed=False,
            reason=f"the guardrail blocked {blocked:,} of {len(rows):,} rows, and for {unknown:,} "
            "neither answer is among the tokens that the service shows",
            try_="a model without them was imported of another checkpoint, or reads another prompt",
        )
    missed = Answered(rows=len(rows) - blocked, missed=bounded + unknown)
    if missed.missed:
        fault = missed.fault()
        yield Check(
            name="rows with both answers",
            value=1.0 - missed.share,
            threshold=1.0 - LARGEST_SHARE,
            comparison=">=",
            passed=fault is None,
            reason=f"in {missed.missed:,} of {missed.rows:,} rows an answer is not among the "
            "tokens that the service shows: the score is then an interval, whose end "
            "further from the judged score is used below",
            try_=fault or "",
        )
