"""Bedrock's guardrails, which moto lacks, by the routes of botocore's model.

A guardrail is a draft and numbered copies of it: a copy never changes, a number is given once.
"""

import copy
import itertools
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote

from botocore.session import get_session

from .json_api import Handler, ServiceError

_DRAFT = "DRAFT"
_POLICIES = ("contentPolicyConfig", "sensitiveInformationPolicyConfig")
_NAME = re.compile(r"[0-9a-zA-Z-_]{1,50}")


class Bedrock:
    """The guardrails of one account in one region."""

    def __init__(self, account: str, region: str, _: object) -> None:
        self._place = f"arn:aws:bedrock:{region}:{account}"
        self._guardrails: dict[str, dict[str, dict[str, Any]]] = {}  # id -> version -> rules
        self._numbers: dict[str, Iterator[int]] = {}
        self._tags: dict[str, dict[str, str]] = {}
        self.operations: dict[str, Handler] = {
            "CreateGuardrail": self._create,
            "CreateGuardrailVersion": self._create_version,
            "UpdateGuardrail": self._update,
            "GetGuardrail": self._get,
            "DeleteGuardrail": self._delete,
            "ListGuardrails": self._list,
            # No import job runs here.
            "ListImportedModels": lambda _: {"modelSummaries": []},
            "TagResource": self._tag,
            "UntagResource": self._untag,
            "ListTagsForResource": lambda request: {
                "tags": _pairs(self._tags.get(request["resourceARN"], {}))
            },
        }
        self._routes = list(_routes(self.operations))

    def route(self, method: str, path: str, query: str) -> tuple[str, dict[str, str]]:
        """Returns the operation of a request, and what its path and query say."""
        for verb, pattern, operation in self._routes:
            match = pattern.fullmatch(path)
            if verb == method and match:
                given = {key: unquote(value) for key, value in match.groupdict().items()}
                return operation, given | {key: one[0] for key, one in parse_qs(query).items()}
        return "", {}

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["name"]
        if any(item[_DRAFT]["name"] == name for item in self._guardrails.values()):
            raise ServiceError("ConflictException", f"a guardrail {name} exists already")
        _check(request)
        identifier = uuid.uuid4().hex[:12]
        arn = f"{self._place}:guardrail/{identifier}"
        self._guardrails[identifier] = {}
        self._numbers[identifier] = itertools.count(1)
        self._tags[arn] = {tag["key"]: tag["value"] for tag in request.get("tags", ())}
        self._put(identifier, request)
        return {
            "guardrailId": identifier,
            "guardrailArn": arn,
            "version": _DRAFT,
            "createdAt": _now(),
        }

    def _put(self, identifier: str, request: dict[str, Any]) -> None:
        content = request.get("contentPolicyConfig", {}).get("filtersConfig")
        personal = request.get("sensitiveInformationPolicyConfig", {}).get("piiEntitiesConfig")
        self._guardrails[identifier][_DRAFT] = {
            "name": request["name"],
            "description": request.get("description", ""),
            "guardrailId": identifier,
            "guardrailArn": f"{self._place}:guardrail/{identifier}",
            "version": _DRAFT,
            "status": "READY",
            "createdAt": _now(),
            "updatedAt": _now(),
            "blockedInputMessaging": request["blockedInputMessaging"],
            "blockedOutputsMessaging": request["blockedOutputsMessaging"],
            **({"contentPolicy": {"filters": content}} if content else {}),
            **({"sensitiveInformationPolicy": {"piiEntities": personal}} if personal else {}),
        }

    def _versions(self, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
        identifier = request["guardrailIdentifier"].rpartition("/")[2]
        if identifier not in self._guardrails:
            raise ServiceError("ResourceNotFoundException", f"there is no guardrail {identifier}")
        return self._guardrails[identifier]

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        draft = self._versions(request)[_DRAFT]
        _check(request)
        self._put(draft["guardrailId"], request)
        keys = ("guardrailId", "guardrailArn", "version")
        return {key: draft[key] for key in keys} | {"updatedAt": _now()}

    def _create_version(self, request: dict[str, Any]) -> dict[str, Any]:
        versions = self._versions(request)
        identifier = versions[_DRAFT]["guardrailId"]
        number = str(next(self._numbers[identifier]))
        versions[number] = copy.deepcopy(versions[_DRAFT]) | {"version": number}
        versions[number]["description"] = request.get("description", "")
        return {"guardrailId": identifier, "version": number}

    def _get(self, request: dict[str, Any]) -> dict[str, Any]:
        versions, version = self._versions(request), request.get("guardrailVersion", _DRAFT)
        if version not in versions:
            raise ServiceError("ResourceNotFoundException", f"there is no version {version}")
        return versions[version]

    def _delete(self, request: dict[str, Any]) -> None:
        """Deletes a version; without one the guardrail with all of them."""
        if "guardrailVersion" in request:
            self._get(request)
            self._versions(request).pop(request["guardrailVersion"])
            return
        draft = self._versions(request)[_DRAFT]
        del self._guardrails[draft["guardrailId"]]
        del self._tags[draft["guardrailArn"]]

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        """Lists the drafts, or the versions of one guardrail."""
        shown = (
            list(self._versions(request).values())
            if "guardrailIdentifier" in request
            else [versions[_DRAFT] for versions in self._guardrails.values()]
        )
        keys = ("name", "status", "version", "createdAt", "updatedAt")
        return {
            "guardrails": [
                {key: item[key] for key in keys}
                | {"id": item["guardrailId"], "arn": item["guardrailArn"]}
                for item in shown
            ]
        }

    def _tag(self, request: dict[str, Any]) -> None:
        self._tags[request["resourceARN"]] |= {t["key"]: t["value"] for t in request["tags"]}

    def _untag(self, request: dict[str, Any]) -> None:
        for key in request["tagKeys"]:
            self._tags[request["resourceARN"]].pop(key, None)


def _check(request: dict[str, Any]) -> None:
    if not _NAME.fullmatch(request["name"]):
        raise ServiceError("ValidationException", f"{request['name']!r} is no guardrail's name")
    policies = {key for key in request if key.endswith("PolicyConfig")}
    if unknown := policies - set(_POLICIES):
        raise ServiceError("ValidationException", f"the emulator does not know {sorted(unknown)}")
    if not policies:
        raise ServiceError("ValidationException", "a guardrail has at least one policy")
    for item in request.get("contentPolicyConfig", {}).get("filtersConfig", ()):
        # "Detect prompt attacks with Amazon Bedrock Guardrails", Amazon Bedrock User Guide.
        if item["type"] == "PROMPT_ATTACK" and item["outputStrength"] != "NONE":
            raise ServiceError(
                "ValidationException", "the output strength of PROMPT_ATTACK must be NONE"
            )


def _routes(operations: dict[str, Handler]) -> Iterator[tuple[str, re.Pattern[str], str]]:
    model = get_session().get_service_model("bedrock")
    for name in operations:
        http = model.operation_model(name).http
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>.+)", http["requestUri"])
        yield http["method"], re.compile(pattern), name


def _pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def _now() -> str:
    return datetime.now(UTC).isoformat()
