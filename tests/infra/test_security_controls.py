"""The page of the controls says what the templates hold and what the tests prove."""

import pytest

from docs import security_controls
from docs.controls import STANDARDS
from docs.security_controls import PAGE, security_page

CONTROLS = [control for group in STANDARDS.values() for control in group]


@pytest.fixture
def proofs(monkeypatch):
    """A proof of each control, to be changed."""
    tests = {control.id: ["test_x.py::test_it"] for control in CONTROLS}
    monkeypatch.setattr(security_controls, "proofs", lambda: tests)
    return tests


def test_the_page_is_current(templates):
    assert PAGE.read_text() == security_page(templates("prod")), "run `make docs`, review the diff"


def test_a_control_without_a_resource_is_refused(templates, proofs):
    without = {name: item for name, item in templates("prod").items() if name != "DataLake"}

    with pytest.raises(SystemExit, match=r"S3\.5: no resource of AWS::S3::Bucket"):
        security_page(without)


def test_a_control_without_a_test_is_refused(templates, proofs):
    del proofs["S3.5"]

    with pytest.raises(SystemExit, match=r'mark a test in tests/infra.*control\("S3\.5"\)'):
        security_page(templates("prod"))


def test_a_mark_that_names_no_control_is_refused(templates, proofs):
    proofs["S3.55"] = ["test_x.py::test_it"]

    with pytest.raises(SystemExit, match=r"S3\.55: test_x\.py::test_it proves it"):
        security_page(templates("prod"))


def test_what_comes_to_be_there_needs_a_proof(templates, proofs):
    serving = {"Resources": {"Model": {"Type": "AWS::SageMaker::Model"}}}

    with pytest.raises(SystemExit, match=r"SageMaker\.5: .*`AWS::SageMaker::Model`: Serving 1"):
        security_page({**templates("prod"), "Serving": serving})
