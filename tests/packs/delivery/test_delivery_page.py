"""What docs/delivery.md shows: the settings for GitHub Actions, the trust and job of GitLab."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sashiko.account.access.policy_evaluation import Request, statements
from sashiko.settings.delivery import Delivery
from tests.infra.both_sides import trusts

PAGE = Path.cwd() / "docs/delivery.md"
PROVIDER = "arn:aws:iam::111122223333:oidc-provider/gitlab.com"
MAIN = {"aud": "sts.amazonaws.com", "sub": "project_path:acme/churn:ref_type:branch:ref:main"}


def _block(language: str, *, section: str = "GitLab") -> str:
    text = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")[2]
    block = re.search(rf"```{language}\n(.*?)```", text, re.S)
    assert block
    return block[1]


def test_the_settings_for_github_are_valid() -> None:
    delivery = Delivery.model_validate(yaml.safe_load(_block("yaml", section="GitHub Actions")))
    assert delivery.source.subject == "repo:acme@1234/churn@567890"


def _lets_in(claims: dict[str, str]) -> bool:
    context = {f"gitlab.com:{name}": value for name, value in claims.items()}
    request = Request(
        action="sts:AssumeRoleWithWebIdentity",
        resource="*",
        context=context | {"aws:principalarn": PROVIDER},
        complete=True,
    )
    return trusts(statements(json.loads(_block("json"))), request)


def test_the_trust_lets_the_branch_in() -> None:
    assert _lets_in(MAIN)


@pytest.mark.parametrize(
    "claims",
    [
        {"sub": "project_path:acme/churn:ref_type:branch:ref:feature"},
        {"sub": "project_path:acme/churn:ref_type:tag:ref:main"},
        {"sub": "project_path:acme/other:ref_type:branch:ref:main"},
        {"aud": "https://gitlab.com"},
    ],
    ids=["branch", "tag", "project", "audience"],
)
def test_the_trust_lets_nobody_else_in(claims: dict[str, str]) -> None:
    assert not _lets_in(MAIN | claims)


def test_the_jobs_token_is_for_whom_the_trust_expects() -> None:
    (job,) = yaml.safe_load(_block("yaml")).values()
    tokens: dict[str, Any] = job["id_tokens"]
    assert [token["aud"] for token in tokens.values()] == [MAIN["aud"]]
    (name,) = tokens
    assert any(f'"${name}"' in line for line in job["script"])
