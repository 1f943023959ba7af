"""Rules of Amazon Bedrock: imported models are asked through a guardrail, which has a version."""

from collections.abc import Iterator, Sequence
from typing import Any

from sashiko_cdk.security_rules.rule import Finding, Rule
from sashiko_cdk.security_rules.template import Resource, statements, text, values_at

_INVOKE = "bedrock:InvokeModel"
_GUARDED = "bedrock:guardrailidentifier"


def _without_guardrail(resources: Sequence[Resource]) -> Iterator[Finding]:
    for resource in resources:
        for where, document in _policies(resource):
            for statement in statements(document):
                # A wildcard over all models or actions is a finding of its own.
                asks = any(action.startswith(_INVOKE) for action in statement.actions)
                imported = any(":imported-model/" in arn for arn in statement.resources)
                if statement.allows and asks and imported and _GUARDED not in statement.conditions:
                    yield Finding(resource=resource, where=where)


def _policies(resource: Resource) -> Iterator[tuple[str, Any]]:
    if resource.kind in ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy", "AWS::IAM::RolePolicy"):
        for document in values_at(resource.properties, "PolicyDocument"):
            yield "Properties/PolicyDocument", document
    if resource.kind == "AWS::IAM::Role":
        for document in values_at(resource.properties, "Policies.*.PolicyDocument"):
            yield "Properties/Policies", document


def _drafts(resources: Sequence[Resource]) -> Iterator[Finding]:
    versions = [item for item in resources if item.kind == "AWS::Bedrock::GuardrailVersion"]
    named = " ".join(text(item.properties.get("GuardrailIdentifier", "")) for item in versions)
    for item in resources:
        if item.kind == "AWS::Bedrock::Guardrail" and item.logical_id not in named:
            yield Finding(resource=item, where="Properties")


RULES = (
    Rule(
        name="invoked-through-guardrail",
        description="A policy lets an imported model be asked past the guardrail.",
        fix="Add a condition on bedrock:GuardrailIdentifier.",
        check=_without_guardrail,
    ),
    Rule(
        name="guardrail-version",
        description="A guardrail has no version: who names its draft gets another one with each "
        "change.",
        fix="Add an AWS::Bedrock::GuardrailVersion of it.",
        check=_drafts,
    ),
)
