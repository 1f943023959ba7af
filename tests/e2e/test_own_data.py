"""A team's own file, from `contract init` to a registered model: German, and without facets."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tests.e2e.project import Attempt, Project, refuses
from tests.e2e.retouren import make_retouren
from tests.e2e.retouren import read_texts as read_german
from tests.e2e.returns import make_returns, read_texts
from tests.e2e.tiny import copy_repository, install_encoder, make_encoder

pytestmark = pytest.mark.slow

FILE = "Shop Returns.csv"
LABEL = ("--label", "Refund Granted")
GERMAN_FILE = "Retouren 2025.csv"
GERMAN_LABEL = ("--label", "Erstattet")
FACETS = ("--facet", "Geschlecht", "--facet", "Altersgruppe")
DRAFTED, WITH, WITHOUT = "shop-returns", "retouren-2025", "returns-of-nobody"
SMALL = "bias.minimum_group_size=1"
# What a person would set for a random encoder, so that the run takes seconds and any model passes.
QUICK = (
    "train={batch_size: 16, frozen_layers: 0}",
    "evaluate.bootstrap_replicates=100",
    "quality.gates=[{metric: auc, minimum: 0, reason: any model will do}]",
)
FACET_STEPS = {
    "SnapshotFacets", "ValidateFacets", "PreBias", "Weights", "BiasInput", "PostBias", "JudgeBias",
}  # fmt: skip


def files(name: str) -> tuple[str, str]:
    return f"contracts/{name}.odcs.yaml", f"recipes/{name}.yaml"


def confirm(project: Project, file: str) -> None:
    """Removes the marks as a person does who agrees with every line."""
    path = project.root / file
    path.write_text(re.sub(r"  # review: .*", "", path.read_text()))


def run(project: Project, name: str, *more: str) -> Attempt:
    options = [part for change in (*QUICK, *more) for part in ("--set", change)]
    return project.sashiko("run", "--recipe", name, *options)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A repository with two files of returns, and three drafts of them that nobody has read."""
    made = copy_repository(tmp_path_factory.mktemp("own") / "repository")
    make_returns(made.root / FILE)
    encoder = tmp_path_factory.mktemp("encoder")
    make_retouren(made.root / GERMAN_FILE)
    make_encoder(encoder, [*read_texts(made.root / FILE), *read_german(made.root / GERMAN_FILE)])
    model = {"model": install_encoder(made, encoder)}
    (made.root / "recipes/models/all-minilm-l6-v2.yaml").write_text(yaml.safe_dump(model))
    for options in (("--facet", "Age Group"), ("--name", WITHOUT)):
        drafted = made.sashiko("contract", "init", FILE, *LABEL, *options)
        assert drafted.returncode == 0, drafted.stderr
    return made


@pytest.fixture(scope="module")
def german(project: Project) -> Attempt:
    return project.sashiko("contract", "init", GERMAN_FILE, *GERMAN_LABEL, *FACETS)


def test_a_draft_is_refused_until_every_guess_in_both_files_is_reviewed(project: Project) -> None:
    contract, recipe = files(DRAFTED)
    for command in ("run", "definition"):
        refused = project.sashiko(command, "--recipe", DRAFTED)
        refuses(refused, contract, recipe, "guesses to review, lines ", "# review")
    assert not (project.home / "runs").exists()
    checked = project.sashiko("contract", "check", contract)
    assert f"{contract}: 60 guesses to review, lines 10, 12-13," in checked.stdout, checked.stderr
    assert f"{recipe}: 8 guesses to review" in checked.stdout

    confirm(project, contract)
    refused = project.sashiko("run", "--recipe", DRAFTED)
    refuses(refused, recipe, "8 guesses to review")
    assert contract not in refused.stderr


def test_a_second_draft_replaces_nothing(project: Project) -> None:
    before = [(project.root / file).read_bytes() for file in files(DRAFTED)]
    refuses(project.sashiko("contract", "init", FILE, *LABEL), files(DRAFTED)[0], "--name")
    assert [(project.root / file).read_bytes() for file in files(DRAFTED)] == before


def test_the_draft_of_a_german_file_says_how_it_read_it_and_what_is_odd(project, german):
    assert german.returncode == 0, german.stderr
    for note in (
        "read with windows-1252, `;` between values, `,` before decimals, `.` between thousands",
        "eingang: every value is a date, read as dd.MM.yyyy: the day first",
        "40 rows repeat an earlier one in every column, such as rows 3,001, 3,002, 3,003: remove",
        "vorgangsnummer is nearly a key: 40 of 3,040 rows repeat an earlier value",
        "kept from training and from data scientists, as a key or nearly one: vorgangsnummer, ",
        "split: by time, on eingang",
    ):
        assert f"{GERMAN_FILE}: {note}" in german.stderr, german.stderr
    contract, _ = files(WITH)
    checked = project.sashiko("data", "check", GERMAN_FILE, "--contract", contract)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "data-quality: 44 checks passed" in checked.stdout


@pytest.fixture(scope="module")
def with_facets(project: Project, german: Attempt) -> Attempt:
    for file in files(WITH):
        confirm(project, file)
    recipe = yaml.safe_load((project.root / files(WITH)[1]).read_text())
    gates = [gate | {"minimum": 0, "maximum": 100} for gate in recipe["bias"]["gates"]]
    return run(
        project, WITH, f"bias.gates={json.dumps(gates)}", "bias.bootstrap_replicates=1000", SMALL
    )


def test_a_reviewed_draft_runs_to_a_registered_model(project: Project, with_facets: Attempt):
    assert with_facets.returncode == 0, with_facets.stderr
    assert f"{WITH} version 1, PendingManualApproval" in with_facets.stdout
    assert FACET_STEPS.issubset(project.statuses())
    snapshot = json.loads((project.output("Snapshot", "manifest") / "manifest.json").read_text())
    # No customer number, no postcode, no salutation, and neither facet.
    assert [column["name"] for column in snapshot["columns"]] == [
        "row_number", "eingang", "warengruppe", "preis", "gewicht_in_g", "begrundung", "erstattet",
    ]  # fmt: skip
    verdict = json.loads((project.output("JudgeBias", "verdict") / "verdict.json").read_text())
    judged = {check["name"].split("=")[0] for check in verdict["checks"]}
    assert {"DI geschlecht", "DI altersgruppe"} <= judged
    split = json.loads((project.output("Prepare", "meta") / "split.json").read_text())
    assert split["kind"] == "time"
    assert min(part["rows"] for part in split["splits"].values()) > 100


@pytest.fixture(scope="module")
def without_facet(project: Project, with_facets: Attempt) -> Attempt:
    for file in files(WITHOUT):
        confirm(project, file)
    return run(project, WITHOUT)


def test_without_a_facet_the_model_is_registered_as_not_judged(project, without_facet):
    assert without_facet.returncode == 0, without_facet.stderr
    assert not FACET_STEPS & set(project.statuses())
    listed = project.sashiko("model", "list", "--recipe", WITHOUT, "--json")
    [version] = json.loads(listed.stdout)
    reason = "no column tells which group of people a row is about"
    assert {key: value for key, value in version["tags"].items() if key.startswith("gate.")} == {
        "gate.data-quality": "passed", "gate.model-quality": "passed", "gate.device": "passed",
        "gate.bias": "not judged", "gate.bias.reason": reason,
    }  # fmt: skip
    report = (project.home / "runs" / project.runs()[-1] / "report.html").read_text()
    assert f"Bias not judged: {reason}" in report.partition('id="use"')[0]  # the first screen
    assert 'class="outcome registered"' not in report


def test_a_contract_without_facets_needs_a_recipe_that_says_so(project, without_facet):
    refused = run(project, WITHOUT, "bias={judged: true, reason: ''}")
    refuses(refused, *files(WITHOUT), "has no facets", "judged: false")


def test_a_file_that_cannot_be_drafted_is_one_error(project: Project, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    refuses(
        project.sashiko("contract", "init", tmp_path / "empty.csv", *LABEL), "empty.csv is empty"
    )
    lacking = project.sashiko("contract", "init", FILE, "--label", "Refund", "--name", "other")
    refuses(lacking, FILE, "no column `Refund`", "`Refund Granted`")
    nowhere = project.sashiko("contract", "init", "nothing.csv", *LABEL)
    refuses(nowhere, "nothing.csv does not exist")
