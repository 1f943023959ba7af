"""Who may assume a role: a trust has no condition on a key that AWS does not document for it.

A request without the key is refused, so that a role with such a condition may be of no use to its
service, and the first deploy in an account would be the first to show it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.infra.deploy_requests import EVERY, templates_in

# Service -> the page (below https://docs.aws.amazon.com/) that says that `aws:SourceAccount` and
# `aws:SourceArn` are there when it assumes a role, and the service and resource type of the second;
# None where no page says so.
PAGES: dict[str, tuple[str, str] | None] = {
    "bedrock": ("bedrock/latest/userguide/model-import-iam-role.html", "bedrock model-import-job/"),
    "codebuild": ("codebuild/latest/userguide/setting-up-service-role.html", "codebuild project/"),
    "codepipeline": None,
    "events": (
        "eventbridge/latest/userguide/cross-service-confused-deputy-prevention.html",
        "events rule/",
    ),
    "glue": None,
    "lakeformation": (
        "lake-formation/latest/dg/cross-service-confused-deputy-prevention.html",
        "lakeformation *",
    ),
    "lambda": None,
    "sagemaker": ("sagemaker/latest/dg/security-confused-deputy-prevention.html", "sagemaker *"),
    "states": ("step-functions/latest/dg/procedure-create-iam-role.html", "states stateMachine:"),
    "vpc-flow-logs": ("vpc/latest/userguide/flow-logs-iam-role.html", "ec2 vpc-flow-log/"),
}
# SageMaker's page names pipelines, jobs and inference, and not MLflow.
NOT_ON_THE_PAGE = "mlflow"
# Key -> the page that documents it for people, builds of another account and GitHub's tokens.
KEYS = {
    "aws:MultiFactorAuthPresent": "IAM/latest/UserGuide/reference_policies_condition-keys.html",
    "aws:PrincipalArn": "IAM/latest/UserGuide/reference_policies_condition-keys.html",
    "aws:RequestedRegion": "IAM/latest/UserGuide/reference_policies_condition-keys.html",
    **dict.fromkeys(
        (f"token.actions.githubusercontent.com:{claim}" for claim in ("aud", "sub", "ref")),
        "IAM/latest/UserGuide/reference_policies_iam-condition-keys.html",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Trust:
    """A statement of the trust policy of a role."""

    role: str
    principal: dict[str, Any]
    conditions: dict[str, dict[str, Any]]

    @property
    def service(self) -> str | None:
        """The service without its domain; None where the principal is another."""
        name = self.principal.get("Service")
        return name.removesuffix(".amazonaws.com") if name else None


def trusts(variant: str) -> Iterator[Trust]:
    for role in templates_in(variant).of_type("AWS::IAM::Role"):
        for statement in role.properties["AssumeRolePolicyDocument"]["Statement"]:
            yield Trust(
                role=str(role.properties.get("RoleName", role.logical_id)),
                principal=statement["Principal"],
                conditions=statement.get("Condition", {}),
            )


@pytest.mark.control("confused-deputy")
@pytest.mark.parametrize("variant", EVERY)
def test_a_service_is_asked_for_what_its_documentation_says_that_it_sends(variant: str) -> None:
    """And for all of that: it acts for this account and region, and resources of the project."""
    templates = templates_in(variant)
    of_services = [trust for trust in trusts(variant) if trust.service]
    assert of_services
    for trust in of_services:
        page = None if trust.role.endswith(NOT_ON_THE_PAGE) else PAGES[str(trust.service)]
        if page is None:
            assert trust.conditions == {}, trust
            continue
        owner, _, resource = page[1].partition(" ")
        here = f"arn:aws:{owner}:{templates.region}:{templates.account}:"
        source = trust.conditions["ArnLike"]["aws:SourceArn"]
        assert source.startswith(here + resource), trust
        assert trust.conditions == {
            "StringEquals": {"aws:SourceAccount": templates.account},
            "ArnLike": {"aws:SourceArn": source},
        }, trust


@pytest.mark.parametrize("variant", EVERY)
def test_people_builds_and_tokens_are_asked_for_documented_keys(variant: str) -> None:
    others = [trust for trust in trusts(variant) if not trust.service]
    keys = {key for trust in others for pairs in trust.conditions.values() for key in pairs}
    assert keys <= set(KEYS)
    assert all(trust.conditions for trust in others), "an account or an issuer as a whole"
