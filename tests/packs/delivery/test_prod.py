"""What prod serves is the copy that promotion made, within prod's own bounds."""

from pathlib import Path

import pytest

from tests.packs.delivery.project import Project, new_project
from tests.unit.account import two_accounts

PROD = """\
tier: prod
account: "444455556666"
serving: {{min_instances: 2, max_instances: 4, bounds: [{{metric: auc, minimum: {}}}]}}
promotion: {{source: {{environment: dev, account: "111122223333"}}}}
"""


@pytest.mark.parametrize(("least", "served"), [(0.8, True), (0.9, False)])
def test_prod_names_its_own_copy_if_it_reaches_prods_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least: float, served: bool
) -> None:
    with two_accounts.two_accounts(monkeypatch, act_as="promoter") as accounts:
        files = two_accounts.evidence(tmp_path)
        two_accounts.register(accounts.dev, files, recipe="complaints")
        copy, _ = accounts.promote()
        project = new_project(
            tmp_path / "clone", accounts.prod, monkeypatch, settings=two_accounts.PROD
        )
        (project.folder / "config/prod.yaml").write_text(PROD.format(least))
        project.git("add", "config/prod.yaml")
        project.git("commit", "--quiet", "--message=prod")
        assert _refusal(project).startswith("no version of sashiko-prod-complaint-triage is")

        accounts.prod.decide(copy.version, "Approved")
        if not served:
            assert "asks for auc at least 0.9" in _refusal(project)
            return
        done = project.sashiko("deliver", env="prod")
        assert done.stdout == "model/prod/1\n", done.output
        assert f"model_package_arn: {copy.arn}" in project.git(
            "show", "model/prod/1:config/prod.yaml"
        )
        message = project.git("log", "-1", "--format=%B", "model/prod/1")
        assert f"A copy of {two_accounts.ROUTE.package(1)}, promoted" in message
        assert "Requires auc at least 0.8: it holds" in message


def _refusal(project: Project) -> str:
    done = project.sashiko("deliver", env="prod")
    assert done.exit_code == 1
    assert project.git("branch", "--list", "model/*") == ""
    return str(done.exception)
