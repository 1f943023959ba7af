"""Runs a probe in an account: makes its calls, records them scrubbed, and removes what it made."""

import datetime as dt
import io
import json
import re
import secrets
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import boto3
import botocore
import jmespath
from botocore import xform_name
from botocore.exceptions import ClientError

from sashiko.account.account import Account, NoBucketError
from sashiko.account.images.job_images import aws_image, image_map
from sashiko.base.files import canonical_json, read_json, write_bytes
from sashiko.errors import InputError
from sashiko.settings.environment import Settings
from sashiko_packs.operations.commands.account import empty_bucket
from sashiko_packs.operations.proofs.probe import Call, Probe, Step, data
from sashiko_packs.operations.proofs.record import (
    CallRecord,
    ErrorRecord,
    Record,
    answer_values,
    is_true,
    judge,
)
from sashiko_packs.operations.proofs.scrub import Scrubber, is_private, keep

PREFIX: Final = "prove-"  # begins the name of everything that a probe makes
_NAME: Final = re.compile(rf"(?:.*[/:])?{PREFIX}[0-9a-f]{{6}}(?:[-/_.].*)?")
_TAG: Final = "sashiko-prove"
_REFERENCE: Final = re.compile(r"\$\{([^}]+)\}")
_AWS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
_EXPIRED: Final = re.compile(r"Expired|InvalidClientTokenId|UnrecognizedClient")
# How services say that what is to be deleted is not there, most by a code, SageMaker by a text; or
# that what is to be stopped has ended (github.com/awslabs/benchmark-ai/issues/928).
_ABSENT: Final = re.compile(
    r"NoSuch|NotFound|not found|NotExist|not exist|Could not find|cannot find|pending deletion"
    r"|No permissions revoked|sagemaker:Stop\w+ (?:Validation|Conflict)Exception"
)
_STREAM_BYTES: Final = 1 << 16


def first_values(settings: Settings, *, run: str) -> dict[str, Any]:
    """Returns what references such as `${region}` stand for before any call."""
    region, tags = settings.region, [{"Key": _TAG, "Value": run}]
    place = {} if region == "us-east-1" else {"LocationConstraint": region}
    images = [name for name in image_map().images if region in image_map().regions(name)]
    return {
        "account": settings.account,
        "region": region,
        "prefix": f"{PREFIX}{run}",
        "image": {name.replace("-", "_"): aws_image(settings, name).uri for name in images},
        "tags": tags,
        "lower_tags": [{"key": _TAG, "value": run}],
        "kms_tags": [{"TagKey": _TAG, "TagValue": run}],
        "tag_map": {_TAG: run},
        "bucket_place": {**place, "Tags": tags},
    }


def resolve(value: Any, values: Mapping[str, Any]) -> Any:
    """Fills references in; LookupError if an answer lacks what one names."""
    if isinstance(value, Mapping):
        return {key: resolve(item, values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [resolve(item, values) for item in value]
    if not isinstance(value, str):
        return value
    if match := _REFERENCE.fullmatch(value):
        return _find(match[1], values)
    return _REFERENCE.sub(lambda match: str(_find(match[1], values)), value)


def _find(path: str, values: Mapping[str, Any]) -> Any:
    if (value := jmespath.search(path, values)) is None:
        raise LookupError(path)
    return value


def encode(value: Any, definition: Callable[[str], str]) -> Any:  # noqa: PLR0911  # by kind
    """Returns a request as it is sent: `{$json: ...}` as text, `{$zip: {name: text}}` as bytes.

    Also `$tar`, gzipped, `$lines`, a list of a text's lines, and `$definition`, a recipe's
    pipeline. The record has them as they are in the probe, so that it can be sent again.
    """
    if isinstance(value, list):
        return [encode(item, definition) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "$json" in value:
        return json.dumps(value["$json"], sort_keys=True)
    if "$definition" in value:
        return definition(value["$definition"])
    if "$lines" in value:
        return value["$lines"].splitlines()
    buffer = io.BytesIO()
    if "$zip" in value:
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, text in value["$zip"].items():
                archive.writestr(zipfile.ZipInfo(name), text)
        return buffer.getvalue()
    if "$tar" in value:
        with tarfile.open(fileobj=buffer, mode="w:gz") as folder:
            for name, text in value["$tar"].items():
                member = tarfile.TarInfo(name)
                member.size = len(text.encode())
                folder.addfile(member, io.BytesIO(text.encode()))
        return buffer.getvalue()
    return {key: encode(item, definition) for key, item in value.items()}


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where probes run."""

    settings: Settings
    account: Account
    state: Path  # a folder: for each probe, what is still to be removed
    definition: Callable[[str], str]  # a recipe's pipeline
    recipes: tuple[str, ...]  # the project's
    sleep: Callable[[float], object] = time.sleep


class Execution:
    """One run of one probe."""

    def __init__(self, probe: Probe, place: Place) -> None:
        """Calls nothing."""
        self._probe, self._place = probe, place
        self._state = place.state / f"{probe.id}.json"
        self._values = first_values(place.settings, run=secrets.token_hex(3))
        self._scrubber = Scrubber(probe, account=place.settings.account)
        settings = place.settings.model_copy(update={"account": "<account-1>"})
        self._recorded = first_values(settings, run="<run>")  # what references are recorded as
        images = enumerate(self._recorded["image"], 1)
        self._recorded["image"] = {name: f"<image-{number}>" for number, name in images}
        self._undo: list[Call] = []
        self._hosts: set[str] = set()
        self._calls: list[CallRecord] = []

    def record(self, *, usd: float) -> Record:
        """Makes the calls, removes what they made in any case, and returns the record.

        InputError without valid credentials or a connection, or if scrubbing fails.
        """
        started, probe = time.monotonic(), self._probe
        try:
            for step in probe.steps:
                if not self._make(step):
                    break
        finally:
            clean(self._state, self._place)
        if any(is_private(call.model_dump_json()) for call in self._calls):
            raise InputError(
                f"{probe.id}: nothing was recorded, as the scrubber overlooks something: report it"
            )
        return Record(
            id=probe.id,
            belief=probe.belief,
            row=probe.row,
            region=self._values["region"],
            date=dt.datetime.now(dt.UTC).date(),
            botocore=botocore.__version__,
            endpoint_override=not (self._hosts and all(h.endswith(_AWS) for h in self._hosts)),
            calls=tuple(self._calls),
            verdict=judge(probe, self._calls),
            cost_usd=usd,
            seconds=round(time.monotonic() - started, 1),
        )

    def _make(self, step: Step) -> bool:
        """Makes a step's call, for each recipe if it names `${each}`; says whether to go on."""
        recipes = self._place.recipes if "${each}" in str(step.with_) else ("",)
        for number, self._values["each"] in enumerate(recipes, 1):
            self._recorded["each"] = f"<recipe-{number}>"
            self._keep_undo(step)
            try:
                request, client = resolve(step.with_, self._values), self._client(step)
                recorded = resolve(step.with_, self._recorded)
            except LookupError:
                return False  # an earlier call has failed
            self._scrubber.learn(request, recorded)
            message = encode(request, self._place.definition)
            for attempt in range(step.times if step.until else 1):
                self._place.sleep(step.every if attempt else step.pause)
                response, error = _call(self._place.account, client, step, message)
                if is_true(step.until or "ok", answer_values(response, error)):
                    break
            model = client.meta.service_model.operation_model(step.call.partition(":")[2])
            answer = self._scrubber.scrub(response, model.output_shape)
            fields = data("answers").get(step.call, ())
            plain = f"{error.code}: {error.message}" if error else keep(response or {}, fields)
            print(f"  {step.call}: {plain}", file=sys.stderr)  # the record lacks a job's reasons
            error = error and self._scrubber.error(error)
            call = CallRecord(
                name=step.name,
                role=step.as_,
                operation=step.call,
                request=recorded,
                response=answer and keep(answer, fields),
                error=error,
            )
            self._calls.append(call)
            if error:
                return self._probe.is_judged(step) and len(recipes) == 1
            self._values[step.name], self._recorded[step.name] = response, answer
            self._keep_undo(step)
        return True

    def _keep_undo(self, step: Step) -> None:
        """Writes down what will remove what a call makes, before the call if it can be known."""
        for undo in reversed(step.undo):
            try:
                call = undo.model_copy(update={"with_": resolve(undo.with_, self._values)})
            except LookupError:
                continue  # the answer has it
            if call not in self._undo:
                self._undo.append(call)
        if step.undo:
            _write(self._state, self._undo[::-1])

    def _client(self, step: Step) -> Any:
        """Returns the client of the caller, or of a role that an earlier step has assumed."""
        client = self._place.account.client(step.service)
        if step.as_:
            key = self._values[step.as_]["Credentials"]
            client = boto3.client(
                step.service,
                region_name=self._values["region"],
                aws_access_key_id=key["AccessKeyId"],
                aws_secret_access_key=key["SecretAccessKey"],
                aws_session_token=key["SessionToken"],
            )
        client.meta.events.register_first(
            "before-send", lambda request, **_: self._hosts.add(urlsplit(request.url).hostname)
        )
        return client


def _call(
    account: Account, client: Any, call: Call, request: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, ErrorRecord | None]:
    """Makes a call; InputError without a connection, or if the credentials have expired.

    Returns the answer without its headers, or the error.
    """
    with account.translate_errors(call.call):
        try:
            response = getattr(client, xform_name(call.call.partition(":")[2]))(**request)
        except ClientError as error:
            details, meta = (error.response.get(part, {}) for part in ("Error", "ResponseMetadata"))
            code = str(details.get("Code", "Unknown"))
            if _EXPIRED.search(code):
                raise
            return None, ErrorRecord(
                code=code,
                message=str(details.get("Message", "")),
                status=meta.get("HTTPStatusCode"),
            )
    streams = {key: value for key, value in response.items() if hasattr(value, "read")}
    texts = {key: value.read(_STREAM_BYTES).decode() for key, value in streams.items()}
    return {k: texts.get(k, v) for k, v in response.items() if k != "ResponseMetadata"}, None


def clean(state: Path, place: Place) -> None:
    """Removes what a probe has left, by its state; InputError for what stays there."""
    calls = [Call.model_validate(item) for item in read_json(state)] if state.exists() else []
    problems = []
    for call in tuple(calls):
        if problem := remove(call, place.account, sleep=place.sleep):
            problems.append(problem)
        else:
            calls.remove(call)
            _write(state, calls)
    if problems:
        raise InputError(
            f"{state.stem}: not removed: {'; '.join(problems)}; run the command again, or with "
            "--sweep"
        )
    state.unlink(missing_ok=True)


def _write(state: Path, calls: Iterable[Call]) -> None:
    items = [call.model_dump(mode="json", by_alias=True, exclude_unset=True) for call in calls]
    write_bytes(state, canonical_json(items))


def remove(call: Call, account: Account, *, sleep: Callable[[float], object] = time.sleep) -> str:
    """Makes a call that removes something until it is gone; returns the last error, if any."""
    error: ErrorRecord | None = None
    if call.call == "s3:DeleteBucket":
        try:
            list(empty_bucket(call.with_["Bucket"], account))
        except NoBucketError:
            return ""
    for attempt in range(call.times):
        sleep(call.every if attempt else call.pause)
        response, error = _call(account, account.client(call.service), call, call.with_)
        absent = error and _ABSENT.search(f"{call.call} {error.code} {error.message}")
        if absent or is_true(call.until or "ok", answer_values(response, error)):
            return ""
        if error and "AccessDenied" in error.code:
            break
    return (
        f"{call.call} {json.dumps(call.with_)}: {error.message if error else 'it is still there'}"
    )


def leftovers(place: Place) -> Iterator[tuple[str, tuple[Call, ...]]]:
    """Yields each resource that probes have left, by name or tag, and the calls that remove it."""
    values = first_values(place.settings, run="")
    for row in data("sweep")["rows"]:
        for item in _list(place.account, row):
            name = item if isinstance(item, str) else next(iter(item.values()))
            if row.get("tagged") or _NAME.fullmatch(name):
                calls = resolve(row["delete"], {**values, "item": item})
                yield f"{row['list']}: {name}", tuple(map(Call.model_validate, calls))


def _list(account: Account, row: Mapping[str, Any]) -> Iterator[Any]:
    call = Call.model_validate({"call": row["list"], "with": row.get("with", {})})
    client, method = account.client(call.service), xform_name(row["list"].partition(":")[2])
    with account.translate_errors(call.call):
        if client.can_paginate(method):
            pages = client.get_paginator(method).paginate(**call.with_)
        else:
            pages = [getattr(client, method)(**call.with_)]
        for page in pages:
            yield from jmespath.search(row["items"], page) or ()
