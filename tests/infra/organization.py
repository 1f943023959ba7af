"""The templates of organization/ filled in for the tests' accounts, and whom they deny what."""

import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from cfnlint.data import AdditionalSpecs
from cfnlint.helpers import load_resource

from sashiko.account.access.environment_access import Environment, Principal, read_environment
from sashiko.account.access.policy_evaluation import Request, Statement, covers, statements
from sashiko.account.names import prefix
from tests.infra import variants
from tests.infra.delivery import delivery_folder, tools_of
from tests.infra.deploy_requests import DELIVERY, OF_TOOLS
from tests.infra.variants import complete_request, settings_of
from tests.project_root import REPOSITORY

ORGANIZATION = "o-exampleorgid"
# Dev with an endpoint and Bedrock, by GitHub Actions; prod, which takes dev's versions; dev without
# Lake Formation; the tools.
VARIANTS = ("serving", "serving_prod", "iam_only", *OF_TOOLS)
# Whoever signed in may administer the account, by policies that are not the project's.
PERSON = "arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Admin_1a2b"


@functools.cache
def documents(variant: str) -> Mapping[str, Any]:
    """Name -> the document of each template, filled in for a variant's account."""
    one = tools_of().settings if variant == DELIVERY else settings_of(variant)
    values = {
        "ACCOUNT": one.account,
        "ORGANIZATION": ORGANIZATION,
        "PREFIX": prefix(one),
        "PROJECT": one.project,
        "QUALIFIER": one.qualifier,
        "REGION": one.region,
        "REPOSITORY": "repo:acme@1234/churn@567890",
    }
    return {
        file.stem: json.loads(re.sub("<([A-Z]+)>", lambda m: values[m[1]], file.read_text()))
        for file in sorted((REPOSITORY / "organization").glob("*.json"))
    }


def denying(variant: str, request: Request, *, kind: str = "scp", doubt: bool = False) -> set[str]:
    """The ids of the statements that deny a request; with `doubt` those that might."""
    return {sid for sid, item in _denials(variant, kind, doubt) if item.applies(request)}


@functools.cache
def _denials(variant: str, kind: str, doubt: bool) -> tuple[tuple[str, Statement], ...]:
    """A denial that is read as a grant applies to some of what is make_request, and in doubt."""
    return tuple(
        (statement["Sid"], replace(item, effect="Allow") if doubt else item)
        for name, document in documents(variant).items()
        if name.startswith(kind)
        for statement in document["Statement"]
        for item in statements({"Statement": statement})
    )


def make_request(
    action: str,
    resource: str = "*",
    keys: Mapping[str, str] | None = None,
    *,
    caller: str = PERSON,
    region: str = "us-east-1",
) -> Request:
    """A member's request, with further condition keys and no others."""
    context = {
        "aws:principalarn": caller,
        "aws:principalaccount": caller.split(":")[4],
        "aws:principalorgid": ORGANIZATION,
        "aws:principalisawsservice": "false",
        "aws:requestedregion": region,
        "aws:securetransport": "true",
    }
    further = {name.lower(): value for name, value in (keys or {}).items()}
    return complete_request(action, resource, context | further)


@functools.cache
def environment_of(variant: str) -> Environment:
    """The roles of an environment, or of the tools, by their templates."""
    if variant == DELIVERY:
        return read_environment(tools_of().settings, folder=delivery_folder())
    return variants.environment_of(variant)


def grants(principal: Principal, *, region: str) -> Iterator[Request]:
    """What a role's own policies allow it: each action on each resource, known keys beside it."""
    for item in principal.policy:
        if item.effect == "Deny":
            continue
        for pattern in item.actions:
            for action in actions_like(pattern):
                for resource in item.resources or ("*",):
                    known = {"aws:requestedregion": region, "aws:principalorgid": ORGANIZATION}
                    yield principal.request(action, resource, known)


@functools.cache
def actions_like(pattern: str) -> tuple[str, ...]:
    """The actions that a pattern stands for, by the Service Authorization Reference."""
    service, _, name = pattern.lower().partition(":")
    known = load_resource(AdditionalSpecs, "Policies.json").get(service, {}).get("Actions", {})
    matches = tuple(f"{service}:{action}" for action in known if covers(name, action))
    return matches or (pattern,)
