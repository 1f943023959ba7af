"""Files as they come, from the file to a verdict: loans in UTF-16, and with columns that leak."""

import json
import shutil

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
    made = copy_repository(tmp_path_factory.mktemp("strange") / "repository")
    make_loans(made.root / "loans.csv", rows=2000)
    make_loans(made.root / "leaking.csv", rows=2000, leaks=True)
    encoder = tmp_path_factory.mktemp("encoder")
    make_encoder(encoder, read_texts(made.root / "loans.csv"))
    model = {"model": install_encoder(made, encoder)}
    (made.root / "recipes/models/all-minilm-l6-v2.yaml").write_text(yaml.safe_dump(model))
    for name in ("loans", "leaking"):
        options = ("--label", "Ausfall", "--facet", "Geschlecht")
        drafted = made.sashiko("contract", "init", f"{name}.csv", *options)
        assert drafted.returncode == 0, drafted.stderr
        (made.root / f"{name}.drafted").write_text(drafted.stderr)
        for file in files(name):
            confirm(made, file)
    return made


def verdict_of(project: Project, step: str) -> dict[str, dict[str, object]]:
    verdict = json.loads((project.output(step, "verdict") / "verdict.json").read_text())
    return {check["name"]: check for check in verdict["checks"]}


def test_loans_of_which_few_default_come_to_a_verdict_and_both_decisions_are_explained(project):
    notes = (project.root / "loans.drafted").read_text()
    assert "read with utf-16, a tab between values, `,` before decimals" in notes
    assert "angaben_zur_person: of the texts " in notes
    assert "% have a phone number" in notes
    done = run(project, "loans", DI, *SMALL)
    assert done.returncode == 0, done.stderr
    checks = verdict_of(project, "Validate")
    aucs = {name: check["value"] for name, check in checks.items() if "AUC alone" in name}
    assert len(aucs) == 5
    assert max(aucs.values()) < 0.95
    explanations = json.loads(
        (project.output("Explain", "explanations") / "explanations.json").read_text()
    )
    assert min(explanations["predicted"].values()) > 0
    report = (project.home / "runs" / project.runs()[-1] / "report.html").read_text()
    assert "average precision" in report
    assert "uspicious" not in report.partition("<body>")[2]


def with_leaks(project: Project, name: str, *, accepted: bool) -> Attempt:
    """Puts the leaking columns back into contract and template, as somebody who trusts them."""
    contract, recipe = (project.root / file for file in files("leaking"))
    copies = [project.root / file for file in files(name)]
    for file, copy in zip((contract, recipe), copies, strict=True):
        shutil.copy(file, copy)
    document = yaml.safe_load(copies[0].read_text())
    properties = document["schema"][0]["customProperties"]
    [text] = [item for item in properties if item["property"] == "textColumns"]
    text["value"] += USABLE
    if accepted:
        value = [{"column": leak, "reason": "known to the desk in time"} for leak in USABLE]
        properties.append({"property": "acceptedLeaks", "vendor": "sashiko", "value": value})
    copies[0].write_text(yaml.safe_dump(document))
    changed = yaml.safe_load(copies[1].read_text())
    changed |= {"name": name, "contract": files(name)[0], "model_package_group": name}
    changed["text"]["template"] += f" status {{{USABLE[0]}}} {{{USABLE[1]}}}"
    copies[1].write_text(yaml.safe_dump(changed))
    return run(project, name, DI, *SMALL)


def test_leaks_that_somebody_puts_back_are_blocked_by_their_names(project: Project) -> None:
    done = with_leaks(project, "put-back", accepted=False)
    assert done.returncode == 3, done.stderr
    for leak in USABLE:
        assert f"{leak}: AUC alone against the label = 1, required <= 0.99" in done.stdout
        assert f"acceptedLeaks: [{{column: {leak}, reason: ...}}]" in done.stdout


def test_accepted_leaks_pass_with_their_reason_and_the_report_suspects_them(project: Project):
    done = with_leaks(project, "accepted", accepted=True)
    assert done.returncode == 0, done.stderr
    check = verdict_of(project, "Validate")[f"{USABLE[0]}: AUC alone against the label"]
    assert (check["passed"], check["value"]) == (True, 1.0)
    assert check["reason"] == "accepted by the contract: known to the desk in time"
    report = (project.home / "runs" / project.runs()[-1] / "report.html").read_text()
    assert "This is too good to be true: look for a leak" in report
