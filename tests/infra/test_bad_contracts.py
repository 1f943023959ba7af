"""A contract or a recipe that cannot be deployed stops synth: one message says what to do."""

import shutil

import pytest
import yaml
from aws_cdk import App

from sashiko.errors import InputError
from tests.infra.contracts import changed, column_of, mortgages, set_custom, table_of
from tests.infra.variants import ROOT
from tests.project_root import IMAGES


@pytest.fixture
def synth(tmp_path, monkeypatch):
    from infra.app import add_stacks
    from sashiko_cdk.app import synthesize

    def run(change, settings="", environment="dev"):
        for name in ("recipes", *IMAGES):
            (tmp_path / name).symlink_to(ROOT / name)
        (tmp_path / "contracts").mkdir()
        (tmp_path / "config").mkdir()
        shutil.copy(ROOT / "config/base.yaml", tmp_path / "config")
        dev = 'tier: dev\naccount: "111122223333"\n' + settings
        (tmp_path / "config/dev.yaml").write_text(dev)
        shutil.copy(ROOT / "contracts/census.odcs.yaml", tmp_path / "contracts")
        document = yaml.safe_dump(changed("complaints", change), sort_keys=False)
        (tmp_path / "contracts/complaints.odcs.yaml").write_text(document)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sashiko_cdk.app.App", lambda: App(context={"env": environment}))
        synthesize(add_stacks)

    return run


def _column(name, key, value):
    return lambda document: column_of(document, name).update({key: value})


def _table(key, value):
    return lambda document: table_of(document).update({key: value})


def _renamed(new):
    def change(document):
        column_of(document, "channel")["name"] = new
        for prop in table_of(document)["customProperties"]:
            if prop["property"] == "textColumns":
                prop["value"].remove("channel")

    return change


def _row_filter(**values):
    base = {"persona": "data-scientist", "filter": "product = 'x'", "columns": ["complaint_id"]}
    return lambda document: set_custom(document, "rowFilters", [base | values])


FILE = r"contracts/complaints\.odcs\.yaml: .*"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_column("channel", "classification", "secret"), r"column `channel`: .*'none'.*'pii'"),
        (
            _column("age_band", "classification", "pii"),
            r"column `age_band`: key `classification`: a facet",
        ),
        (
            _table("physicalName", "Complaints-2026"),
            r"key `physicalName`: .*lower-case .*rename it",
        ),
        (_table("physicalName", "quarantine"), r"table `quarantine`: .*another `physicalName`"),
        (_renamed("as_of"), r"column `as_of`: .* rename the column"),
        (lambda d: d.update(domain="Customer Service"), r"key `domain`: .* lower-case"),
        (_row_filter(filter="produkt = 'x'"), r"key `filter`: no column `produkt`; the columns"),
        (_row_filter(columns=["compliant_id"]), r"key `rowFilters`: .*no column `compliant_id`"),
        (_row_filter(columns=["customer_name"]), r"`customer_name` is pii, but .*remove it"),
    ],
)
def test_it_stops_synth_with_file_key_and_what_to_do(synth, change, message):
    with pytest.raises(InputError, match=FILE + message) as caught:
        synth(change)
    assert len(str(caught.value).splitlines()) == 1


def test_two_contracts_of_one_table_are_refused_with_both_files(synth):
    with pytest.raises(InputError, match=r"complaints\.odcs.* contracts/census.* `physicalName`"):
        synth(_table("physicalName", "census"))


def test_a_row_filter_that_nothing_would_enforce_is_refused(synth):
    with pytest.raises(InputError, match=FILE + r"key `rowFilters`: .*set `enforced`"):
        synth(mortgages(), settings="lake_formation: {mode: iam_only}\n")


def test_an_unknown_environment_is_refused_with_those_that_there_are(synth):
    with pytest.raises(InputError, match=r"unknown environment `moon`: .* are dev\.yaml;"):
        synth(lambda _: None, environment="moon")


def test_an_unknown_recipe_is_refused_with_those_that_there_are(synth):
    with pytest.raises(InputError, match=r"no recipe recipes/loans\.yaml; known: census, .*compl"):
        synth(lambda _: None, settings="recipe: loans\n")
