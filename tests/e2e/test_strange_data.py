"""Loans in UTF-16 with columns that leak, from the file to the verdict that blocks them."""

import pytest
import yaml

from tests.e2e.loans import make_loans, read_texts
from tests.e2e.project import Attempt, Project
from tests.e2e.test_own_data import confirm, files, run
from tests.e2e.tiny import copy_repository, install_encoder, make_encoder

pytestmark = pytest.mark.slow

LEAKS = ("inkassostatus", "abgeschriebener_betrag", "ausfalldatum")
USABLE = ("inkassostatus", "abgeschriebener_betrag")  # a template takes no date
DI = "bias.gates=[{metric: DPPL, facet: geschlecht, maximum: 1, reason: any model will do}]"
SMALL = ("bias.minimum_group_size=1", "bias.bootstrap_replicates=1000")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A repository with the loans, drafted, and confirmed as they are."""
    made = copy_repository(tmp_path_factory.mktemp("strange") / "repository")
    make_loans(made.root / "leaking.csv", rows=2000, leaks=True)
    encoder = tmp_path_factory.mktemp("encoder")
    make_encoder(encoder, read_texts(made.root / "leaking.csv"))
    model = {"model": install_encoder(made, encoder)}
    (made.root / "recipes/models/all-minilm-l6-v2.yaml").write_text(yaml.safe_dump(model))
    options = ("--label", "Ausfall", "--facet", "Geschlecht")
    drafted = made.sashiko("contract", "init", "leaking.csv", *options)
    assert drafted.returncode == 0, drafted.stderr
    for leak in LEAKS:
        assert f"{leak} (AUC 1.000)" in drafted.stderr
    for file in files("leaking"):
        confirm(made, file)
    return made


def put_leaks_back(project: Project, name: str) -> Attempt:
    """Puts the leaking columns back into contract and template, as somebody who trusts them."""
    contract, recipe = (project.root / file for file in files(name))
    document = yaml.safe_load(contract.read_text())
    properties = document["schema"][0]["customProperties"]
    [text] = [item for item in properties if item["property"] == "textColumns"]
    text["value"] += USABLE
    contract.write_text(yaml.safe_dump(document))
    changed = yaml.safe_load(recipe.read_text())
    changed["text"]["template"] = f"status {{{USABLE[0]}}} {{{USABLE[1]}}}"
    recipe.write_text(yaml.safe_dump(changed))
    return run(project, name, DI, *SMALL)


def test_leaks_that_somebody_puts_back_are_blocked_by_their_names(project: Project) -> None:
    done = put_leaks_back(project, "leaking")
    assert done.returncode == 3, done.stderr
    for leak in USABLE:
        assert f"{leak}: AUC alone against the label = 1, required <= 0.99" in done.stdout
        assert f"acceptedLeaks: [{{column: {leak}, reason: ...}}]" in done.stdout
