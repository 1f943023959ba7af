"""Which model a command means: two groups on one machine, and a version 1 in each."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import Result
from typer.testing import CliRunner

from sashiko.cli import app
from sashiko.errors import InputError
from sashiko.pipeline.local_models import champion_artifact
from sashiko.registry.mlflow import MlflowRegistry, experiment_id, mlflow_client
from sashiko.settings.recipe import load_recipe
from tests.e2e.project import ROOT
from tests.loopback import Answer, Request, serving

LOANS, CLAIMS = "late-loans", "large-claims"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recipes, `loans` the default: loans has versions 1 and 3, claims 1 and 2."""
    root = tmp_path_factory.mktemp("groups")
    shutil.copytree(ROOT / "recipes/models", root / "recipes/models")
    shutil.copytree(ROOT / "config", root / "config")
    (root / "config/local.yaml").write_text('{tier: local, account: "111122223333", recipe: loans}')
    for name, group in (("loans", LOANS), ("claims", CLAIMS)):
        recipe = {
            "extends": "models/all-minilm-l6-v2.yaml", "name": name, "description": "A test's.",
            "contract": f"contracts/{name}.odcs.yaml", "model_package_group": group,
            "data": {"sources": [{"kind": "file", "path": "rows.csv"}]},
            "text": {"template": "{title}"},
            "quality": {"gates": [{"metric": "auc", "minimum": 0.7, "reason": "of use"}]},
        }  # fmt: skip
        (root / f"recipes/{name}.yaml").write_text(yaml.safe_dump(recipe))
    (root / "recipes/broken.yaml").write_text("name: [")
    uri = f"sqlite:///{root / '.sashiko/mlflow.db'}"
    (root / ".sashiko").mkdir()
    registry, client = MlflowRegistry(uri), mlflow_client(uri)
    (root / "files").mkdir()
    for place, group in enumerate((LOANS, CLAIMS, CLAIMS, LOANS, LOANS)):
        run = client.create_run(experiment_id(client, "tests", tracking_uri=uri)).info.run_id
        (root / "files/model.tar.gz").write_bytes(f"weights {place}".encode())
        tags = {"data_sha256": "d", "contract_sha256": "c", "execution_id": f"run-{place}"}
        tags |= {"metric.r2": "0.2687"} if group == CLAIMS else {"metric.auc": "0.9051"}
        registry.register(group, files=root / "files", run_id=run, threshold=0.4, tags=tags)
    client.delete_model_version(LOANS, "2")
    return root


@pytest.fixture
def registry(project: Path, monkeypatch: pytest.MonkeyPatch) -> MlflowRegistry:
    monkeypatch.chdir(project)
    registry = MlflowRegistry(f"sqlite:///{project / '.sashiko/mlflow.db'}")
    for group in (LOANS, CLAIMS):
        for version in registry.versions(group):
            registry.decide(
                group, version.version, status="Rejected", by="a test", reason="begins anew"
            )
    return registry


def sashiko(*arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments])


def decision(verb: str, number: int, *options: str) -> Result:
    return sashiko("model", verb, str(number), *options, "--by", "Ada", "--reason", "why")


def statuses(registry: MlflowRegistry) -> dict[tuple[str, int], str]:
    return {
        (group, item.version): item.status
        for group in (LOANS, CLAIMS)
        for item in registry.versions(group)
    }


@pytest.mark.parametrize("act", [
    pytest.param(lambda: decision("approve", 1), id="approve"),
    pytest.param(lambda: decision("reject", 1), id="reject"),
    pytest.param(lambda: sashiko("model", "lineage", "1"), id="lineage"),
])  # fmt: skip
def test_a_number_that_two_groups_have_is_refused_with_the_choices(registry, act):
    before = statuses(registry)
    done = act()
    assert isinstance(done.exception, InputError)
    message = str(done.exception)
    assert "several groups have a version 1: add " in message
    assert f"`--recipe loans` for {LOANS} or `--recipe claims` for {CLAIMS}" in message
    assert statuses(registry) == before


def test_a_named_recipe_decides_on_its_own_group_alone(registry: MlflowRegistry) -> None:
    assert decision("approve", 1, "--recipe", "claims").exit_code == 0
    assert statuses(registry)[CLAIMS, 1] == "Approved"
    assert statuses(registry)[LOANS, 1] == "Rejected"


def test_the_lineage_of_a_version_that_lost_its_files_names_the_next_command(registry):
    done = sashiko("model", "lineage", "1", "--recipe", "claims")
    assert f"{CLAIMS} version 1: manifest-sha256.json cannot be read" in str(done.exception)
    assert "`sashiko run`" in str(done.exception)


def test_a_number_of_another_group_alone_is_refused_and_one_of_the_own_taken(registry):
    done = decision("approve", 2)
    assert f"{LOANS} has no version 2: add `--recipe claims` for {CLAIMS}" in str(done.exception)
    assert set(statuses(registry).values()) == {"Rejected"}
    assert decision("approve", 3).exit_code == 0
    assert statuses(registry)[LOANS, 3] == "Approved"


def test_the_list_says_where_more_versions_are_and_shows_the_main_metric_by_its_name(
    registry: MlflowRegistry,
) -> None:
    done = sashiko("model", "list")
    assert done.exit_code == 0
    assert CLAIMS not in done.stdout
    assert f"{CLAIMS}: 2 more: sashiko model list --recipe claims\n" in done.stderr
    assert CLAIMS not in sashiko("model", "list", "--recipe", "loans").stderr

    of_claims, of_loans = (
        sashiko("model", "list", "--recipe", name).stdout for name in ("claims", "loans")
    )
    assert "  R² 0.2687  " in of_claims
    assert "  AUC 0.9051  " in of_loans


def test_what_is_served_is_named_and_what_else_could_be(registry: MlflowRegistry, capsys):
    decision("approve", 3, "--recipe", "loans")
    decision("approve", 2, "--recipe", "claims")
    loans = load_recipe(Path("recipes/loans.yaml"))
    with champion_artifact(loans, name=None, home=Path(".sashiko")):
        output = capsys.readouterr().err
    assert f"{LOANS} version 3, the champion of the default recipe loans" in output
    assert f"{CLAIMS} by --recipe claims" in output
    with champion_artifact(loans, name="loans", home=Path(".sashiko")):
        assert capsys.readouterr().err == f"{LOANS} version 3, the champion\n"


def test_what_is_captured_lies_below_the_version_that_is_served(registry, monkeypatch):
    decision("approve", 3, "--recipe", "loans")
    served: list[dict[str, Any]] = []
    monkeypatch.setattr(
        "sashiko.serving.server.serve_artifact", lambda _, **options: served.append(options)
    )
    for options in ((), ("--capture", "20")):
        assert sashiko("model", "serve", "--recipe", "loans", *options).exit_code == 0
    nothing, capture = (options["capture"] for options in served)
    assert nothing is None
    assert (capture.endpoint, capture.version, capture.percent) == (LOANS, 3, 20)
    assert capture.folder == Path(".sashiko/capture")
    assert capture.retention > 0


def test_without_a_champion_the_commands_name_recipe_and_home(registry, project):
    decision("approve", 2, "--recipe", "claims")
    loans, home = load_recipe(Path("recipes/loans.yaml")), project / ".sashiko"
    with pytest.raises(InputError) as refusal, champion_artifact(loans, name=None, home=home):
        pass
    message = str(refusal.value)
    assert f"`sashiko model list --recipe loans --home {home}`" in message
    assert f"`sashiko model approve VERSION --recipe loans --home {home} --reason ...`" in message
    assert f"these have one: {CLAIMS} by --recipe claims" in message


def test_a_group_that_a_gate_kept_empty_is_not_said_to_wait_for_approval(registry, project):
    empty = load_recipe(Path("recipes/loans.yaml")).model_copy(
        update={"model_package_group": "blocked-loans"}
    )
    with (
        pytest.raises(InputError) as refusal,
        champion_artifact(empty, name="loans", home=project / ".sashiko"),
    ):
        pass
    message = str(refusal.value)
    assert message.startswith("blocked-loans has no version: no run has registered one yet")
    assert "`sashiko runs list`" in message
    assert "approve" not in message


def test_a_default_recipe_that_is_gone_names_the_file_that_a_fork_edits(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(project / "config", tmp_path / "config")
    shutil.copytree(project / "recipes", tmp_path / "recipes")
    (tmp_path / "recipes/loans.yaml").unlink()
    monkeypatch.chdir(tmp_path)
    message = str(sashiko("run").exception)
    assert "there is no recipe recipes/loans.yaml; known: broken, claims" in message
    assert "set `recipe` in config/local.yaml" in message
    assert "set `recipe`" not in str(sashiko("run", "--recipe", "loans").exception)


def test_a_text_is_sent_to_the_served_model_and_its_answer_shown() -> None:
    def echo(request: Request) -> Answer:
        refused = b"{}" in request.body or request.path != "/invocations"
        return Answer(400, b"no inputs") if refused else Answer(200, request.body)

    with serving(echo) as url:
        port = ("--port", url.rpartition(":")[2])
        text = sashiko("model", "invoke", "They cut off my heating", *port)
        assert json.loads(text.output) == {"inputs": ["They cut off my heating"]}
        body = sashiko("model", "invoke", '{"inputs": ["a", "b"]}', *port)
        assert json.loads(body.output) == {"inputs": ["a", "b"]}
        refused = sashiko("model", "invoke", "{}", *port)
        assert "refused with 400: no inputs" in str(refused.exception)
    gone = sashiko("model", "invoke", "a", *port)
    assert "start `sashiko model serve" in str(gone.exception)
    assert gone.exit_code != 0
