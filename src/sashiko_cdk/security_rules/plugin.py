"""The rules as a plugin of `cdk synth`: an unacknowledged finding fails it."""

import jsii
from aws_cdk import (
    IPolicyValidationContext,
    IPolicyValidationPlugin,
    PolicyValidationPluginReport,
    PolicyViolatingResource,
    PolicyViolation,
    Validations,
)
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks
from constructs import IConstruct

from sashiko.packs import pack_objects
from sashiko_cdk.security_rules.acknowledge import PLUGIN
from sashiko_cdk.security_rules.rules import RETAIN, RULES, Rule, read_resources


def all_rules() -> tuple[Rule, ...]:
    """Returns the core's rules and those of the packs that are on."""
    return (*RULES, *(rule for rules in pack_objects("rules") for rule in rules))


def add_rules(app: IConstruct, *, retains: bool, nist: bool = False) -> None:
    """Makes `app.synth()` fail on findings of cdk-nag's AwsSolutions pack and of our own rules.

    `retains`: the environment retains its data when a stack is destroyed; `nist`: cdk-nag's NIST
    800-53 R5 pack runs too.
    """
    rules = all_rules()
    rules = (*rules, RETAIN) if retains else rules
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), _Plugin(rules))
    if nist:
        Validations.of(app).add_plugins(NIST80053R5Checks(app))


@jsii.implements(IPolicyValidationPlugin)
class _Plugin:
    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self._rules = rules

    @property
    def name(self) -> str:
        return PLUGIN

    @property
    def version(self) -> None:
        return None

    @property
    def rule_ids(self) -> list[str]:
        return [rule.name for rule in self._rules]

    def validate(self, context: IPolicyValidationContext) -> PolicyValidationPluginReport:
        resources = read_resources(context.template_paths)
        violations = [
            PolicyViolation(
                rule_name=f"{rule.name}[{finding.detail}]" if finding.detail else rule.name,
                description=rule.description,
                fix=rule.fix,
                severity="error",
                violating_resources=[
                    PolicyViolatingResource(
                        resource_logical_id=finding.resource.logical_id,
                        template_path=finding.resource.template,
                        locations=[finding.where],
                    )
                ],
            )
            for rule in self._rules
            for finding in rule.check(resources)
        ]
        return PolicyValidationPluginReport(success=not violations, violations=violations)
