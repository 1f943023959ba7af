"""Change the DI bound for prod: a line of config/prod.yaml, and no list written again."""

from dataclasses import replace

import pytest

from sashiko.account import promotion
from sashiko.account.endpoint_spec import expected_of
from sashiko.base.aws_calls import Clients
from sashiko.base.custom_resource import RefusedError
from sashiko.base.files import read_json, write_json
from sashiko.errors import InputError
from sashiko.registry.preflight.version_check import check
from sashiko.settings.environment import load_settings
from tests.e2e.changes.project import Project, assert_small
from tests.unit.account.two_accounts import RECIPE, ROUTE, evidence, register, two_accounts
from tests.unit.registry.model_packages.gathered import seal

BEFORE = "serving: {min_instances: 2, max_instances: 4}"
AFTER = """\
serving:
  min_instances: 2
  max_instances: 4
  bounds:
    - {metric: DI, facet: customer_gender, minimum: 0.85}"""
REFUSAL = r"DI customer_gender=female is 0\.83.* requires DI of customer_gender at least 0\.85"


def test_one_line_for_prod_judges_what_is_promoted_and_what_is_served(tmp_path, monkeypatch):
    project = Project.copy(tmp_path / "project")
    page = (project.root / "docs/change.md").read_text(encoding="utf-8")
    assert "\n".join(f"+{line}" for line in AFTER.splitlines()) in page
    project.edit("config/prod.yaml", there=BEFORE, put=AFTER)
    assert_small(project)
    assert project.touched() == {"config/prod.yaml"}
    serving = load_settings("prod", folder=project.root / "config").serving

    files = evidence(tmp_path)
    verdict = read_json(files / "bias/verdict.json")
    verdict["checks"][0] |= {"name": "DI customer_gender=female", "value": 0.83}
    write_json(files / "bias/verdict.json", verdict)
    seal(files)
    prod = ROUTE.target.model_copy(update={"serving": serving})
    with two_accounts(monkeypatch, act_as="promoter") as accounts:
        register(accounts.dev, files, recipe=RECIPE.name)
        with pytest.raises(InputError, match=REFUSAL):
            promotion.promote(replace(ROUTE, target=prod), 1)
        made, _ = accounts.promote()  # as before the change: the recipe's gate passed
        accounts.prod.decide(1, "Approved")
        aws = accounts.prod.clients
        clients = Clients(sagemaker=aws.sagemaker, s3=aws.s3, kms=aws.kms, scaling=None)
        assert check(clients, expected_of(ROUTE.target, RECIPE, made.arn)).bounds == ()
        with pytest.raises(RefusedError, match=REFUSAL):
            check(clients, expected_of(prod, RECIPE, made.arn))
