"""EventBridge's part: an action that failed is an event, which rules hand to a topic."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jmespath
from moto.events.models import EventPattern

from verification.deploy.accounts.organization import Organization
from verification.deploy.process import REGION, Emulator
from verification.deploy.releases.execution import Execution


def tell_failure(
    organization: Organization, tools: Emulator, execution: Execution, action: Any, *, pipeline: str
) -> None:
    """Publishes what the rules of the default bus make of an action that failed."""
    event = _event(tools, execution, action, pipeline=pipeline)
    for rule, target in _targets(tools, event):
        session = organization.service("events", target["RoleArn"], source=rule)
        acting = replace(tools, url=organization.url, credentials=session.variables())
        assert organization.may(target["RoleArn"], "sns:Publish", target["Arn"])
        acting.client("sns").publish(
            TopicArn=target["Arn"], Message=_message(target["InputTransformer"], event)
        )


def _message(transformer: Any, event: Any) -> str:
    """Fills a template that is a text in quotes, which is sent as that text."""
    values = {
        name: jmespath.search(_quoted(path), event) or ""
        for name, path in transformer["InputPathsMap"].items()
    }
    template: str = json.loads(transformer["InputTemplate"])
    return re.sub(r"<(\w+)>", lambda match: str(values[match[1]]), template)


def _event(tools: Emulator, execution: Execution, action: Any, *, pipeline: str) -> dict[str, Any]:
    """ "Monitoring CodePipeline events", CodePipeline User Guide: the form of the event."""
    stage, name, output = execution.failure
    kind = action["actionTypeId"]
    lines = output.strip().splitlines() or [""]
    return {
        "version": "0",
        "id": execution.id,
        "detail-type": "CodePipeline Action Execution State Change",
        "source": "aws.codepipeline",
        "account": tools.account,
        "region": REGION,
        "resources": [f"arn:aws:codepipeline:{REGION}:{tools.account}:{pipeline}"],
        "detail": {
            "pipeline": pipeline,
            "execution-id": execution.id,
            "stage": stage,
            "action": name,
            "state": "FAILED",
            "execution-result": {
                "external-execution-url": f"https://console.aws.amazon.com/{name}",
                "external-execution-summary": lines[-1].replace('"', "'"),
            },
            "type": {key: kind[key] for key in ("owner", "category", "provider", "version")},
        },
    }


def _targets(tools: Emulator, event: Any) -> Iterator[tuple[str, Any]]:
    api = tools.client("events")
    for rule in api.list_rules()["Rules"]:
        pattern = rule.get("EventPattern")
        if pattern and EventPattern.load(pattern).matches_event(event):
            for target in api.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                yield rule["Arn"], target


def _quoted(path: str) -> str:
    """Turns EventBridge's `$.detail.execution-id` into JMESPath."""
    return ".".join(f'"{name}"' for name in path.removeprefix("$.").split("."))
