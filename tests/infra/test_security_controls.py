"""The page of the controls says what the templates hold and what the tests prove."""

import os

import pytest

from docs import security_controls
from docs.control_tests import proofs as marked
from docs.controls import STANDARDS
from docs.security_controls import PAGE, security_page
from tests.infra.breaches import BREACHES
from tests.infra.variants import WHOLE
from verification.guards.copies import run_tests
from verification.guards.table import ROOT

CONTROLS = [control for group in STANDARDS.values() for control in group]


@pytest.fixture
def proofs(monkeypatch):
    tests = {control.id: ["test_x.py::test_it"] for control in CONTROLS}
    monkeypatch.setattr(security_controls, "proofs", lambda: tests)
    return tests


def test_the_page_is_current(templates):
    page = security_page(templates("prod"))
    assert PAGE.read_text() == page or not WHOLE, "run `make docs`, review the diff"


def test_a_control_without_a_resource_and_a_resource_without_a_proof_are_refused(templates, proofs):
    without = {name: item for name, item in templates("prod").items() if name != "DataLake"}
    with pytest.raises(SystemExit, match=r"S3\.5: no resource of AWS::S3::Bucket"):
        security_page(without)
    serving = {"Resources": {"Model": {"Type": "AWS::SageMaker::Model"}}}
    with pytest.raises(SystemExit, match=r"SageMaker\.5: .*`AWS::SageMaker::Model`: Serving 1"):
        security_page({**templates("prod"), "Serving": serving})


def test_a_control_without_a_test_is_refused(templates, proofs):
    del proofs["S3.5"]
    with pytest.raises(SystemExit, match=r'mark a test in tests/infra.*control\("S3\.5"\)'):
        security_page(templates("prod"))


def test_a_mark_that_names_no_control_is_refused(templates, proofs):
    proofs["S3.55"] = ["test_x.py::test_it"]
    with pytest.raises(SystemExit, match=r"S3\.55: test_x\.py::test_it proves it"):
        security_page(templates("prod"))


# A rule's own test shows it an example; cdk-nag's pack runs at synth, on the constructs.
RULES = "test_rules.py::test_each_rule_finds_its_example"
PACK = "the whole pack"


def direct_proofs() -> dict[str, list[str]]:
    """The controls of these templates -> the tests that read the templates for them."""
    present = {control.id for control in CONTROLS if not control.absent}
    tests = {
        control: [f"tests/infra/{test}" for test in names if not test.startswith(RULES)]
        for control, names in marked().items()
        if control in present - {PACK}
    }
    return {control: names for control, names in tests.items() if names}


def test_each_control_that_a_test_proves_has_a_breach() -> None:
    assert set(direct_proofs()) == set(BREACHES)


@pytest.mark.slow
def test_each_proof_fails_where_its_control_is_broken(templates) -> None:
    """A mark on another test than the one that proves the control is noticed here."""
    for variant in ("dev", "prod", "account_off"):
        templates(variant)
    # The processes below read what this one has synthesized.
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", f"process-{os.getpid()}")
    blind = []
    for control, tests in direct_proofs().items():
        environ = {"BREACH": control, "PYTEST_XDIST_TESTRUNUID": run}
        outcomes = run_tests(ROOT, tests, environ=environ)
        blind += [f"{control}: {test}" for test, result in outcomes.items() if result != "failed"]
    assert blind == []
