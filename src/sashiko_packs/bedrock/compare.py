"""An imported model against the judged one: DeviceCheck's rows, comparison and bounds."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sashiko.account.account import Account
from sashiko.account.content_store import ContentStore, split_uri
from sashiko.account.names import Role, guardrail_name
from sashiko.base.aws_calls import Advice
from sashiko.base.bedrock_calls import GuardrailVersion, ask, newest_guardrail
from sashiko.base.files import sha256_file, sha256_tree
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import DEVICE_GATE, Check, Verdict, decide, read_verdict
from sashiko.registry.preflight.check import Judged
from sashiko.registry.versions import ARTIFACT_FILE, predictions_uri
from sashiko.serving.container.answers import LARGEST_SHARE, Answered
from sashiko.serving.inspection import refuse_pickles, unpack
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.steps.device.gate import device_checks
from sashiko.steps.device.invocation import DeviceFailedError, compare
from sashiko.steps.device.sample import Sample, draw_sample, read_serving_config
from sashiko_packs.bedrock.import_job import ImportedModel
from sashiko_packs.bedrock.imported_prompt import PromptText, PromptTexts
from sashiko_packs.bedrock.imported_scores import (
    ScoreRange,
    completion_body,
    read_completion,
    score_range,
    worst_answer,
)

COMPARED_BY: Final[Role] = "data-scientist"
IMPORT_GATE: Final = "imported-model"
_REPORT_EVERY = 50
_LATENCY = (
    "Bedrock loads a model when it is asked, so the first answers are no measure of later ones"
)
_TRY = (
    "look which rows differ with the same prompt on both; a service of another precision differs "
    "in single rows, one that reads another prompt in all"
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
    """What an imported model answered for a row."""

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

    The rows go to a model in the environment's own account and region, through its guardrail.

    Args:
        account: the environment's.
        settings: the environment.
        recipe: of the version: `device` draws the rows and sets the bounds.
        judged: the version.
        model: what was imported of it.
        files: the version's files, as they were signed.
        scratch: an empty folder.

    Raises:
        InputError: if the rows are not those that DeviceCheck judged, or AWS refuses a call.
    """
    archive = files / ARTIFACT_FILE
    rows = _copy_rows(account, judged, files, scratch)
    inputs = {"artifact": sha256_file(archive), **rows}
    labels = read_serving_config(archive).labels
    sample = draw_sample(
        recipe.device,
        test=scratch / "test",
        predictions=scratch / "predictions/predictions.parquet",
        labels=labels,
    )
    prompts = _prompts(archive, scratch / "artifact")
    with account.translate_errors("bedrock:ListGuardrails", role=COMPARED_BY):
        guardrail = newest_guardrail(account.client("bedrock"), guardrail_name(settings))
    place = Check(name="compared with", passed=True, reason=f"{model.arn}, through {guardrail}")
    try:
        answers = list(_ask_all(account, model, guardrail, sample, prompts))
    except DeviceFailedError as error:
        failed = Check(
            name="answers of the imported model", passed=False, reason=str(error), try_=_TRY
        )
        return decide(gate=IMPORT_GATE, checks=[place, failed], inputs=inputs)
    threshold = float(judged.threshold)
    worst = [
        worst_answer(row.known, judged=float(score), threshold=threshold, labels=labels)
        for row, score in zip(answers, sample.scores, strict=True)
    ]
    checks = device_checks(recipe.device, compare(sample, [worst]), latency_not_judged=_LATENCY)
    return decide(
        gate=IMPORT_GATE,
        checks=[place, _prompt_check(answers), *_notes(answers), *checks],
        inputs=inputs,
    )


def _prompts(archive: Path, folder: Path) -> PromptTexts:
    folder.mkdir()
    unpack(archive, folder)
    refuse_pickles(folder, archive=archive)
    return PromptTexts(folder)


def _copy_rows(account: Account, judged: Judged, files: Path, scratch: Path) -> dict[str, str]:
    """Copies test split and predictions, and returns their digests: those that DeviceCheck judged.

    Raises:
        InputError: if DeviceCheck judged other rows or none, or the caller may not read them.
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
    bucket, key = split_uri(uri)
    folder.mkdir()
    for name in ContentStore(account).sizes(uri, role=COMPARED_BY):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with account.translate_errors(f"s3:GetObject of {uri}/{name}", role=COMPARED_BY):
            body = account.client("s3").get_object(
                Bucket=bucket, Key=f"{key}/{name}", ExpectedBucketOwner=account.number
            )["Body"]
            path.write_bytes(body.read())


def _ask_all(
    account: Account,
    model: ImportedModel,
    guardrail: GuardrailVersion,
    sample: Sample,
    prompts: PromptTexts,
) -> Iterator[_Row]:
    client = account.client("bedrock-runtime")
    for number, text in enumerate(sample.texts, 1):
        yield _ask(client, model, guardrail, prompts.write(text), prompts.answers)
        if number % _REPORT_EVERY == 0 or number == len(sample.texts):
            print(f"{number:,} of {len(sample.texts):,} rows are answered", file=sys.stderr)


def _ask(
    client: Any,
    model: ImportedModel,
    guardrail: GuardrailVersion,
    prompt: PromptText,
    answers: tuple[str, str],
) -> _Row:
    def invoke() -> Any:
        response = client.invoke_model(
            modelId=model.arn,
            body=completion_body(prompt.text),
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


def _prompt_check(rows: Sequence[_Row]) -> Check:
    otherwise = sum(not row.as_judged for row in rows)
    passed = otherwise < len(rows)
    return Check(
        name="prompts as judged",
        value=(len(rows) - otherwise) / len(rows),
        passed=passed,
        reason=f"{otherwise:,} of {len(rows):,} rows are other tokens to the service than to the "
        "judged model: their texts spell control tokens, or its tokenizer differs",
        try_="" if passed else _TRY,
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
            reason=f"the guardrail blocked {blocked:,} of {len(rows):,}, and of {unknown:,} "
            "neither answer is among the tokens that the service shows",
            try_="a model without them was imported of another checkpoint, or reads another "
            "prompt; whom the guardrail blocks, the gate `guardrail` of the run says",
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
            "tokens that the service shows: the score is an interval, whose end that is further "
            "from the judged score counts below",
            try_=fault or "",
        )
