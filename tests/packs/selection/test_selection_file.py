from pathlib import Path
from typing import Any

import pytest
import yaml

from sashiko.errors import InputError
from sashiko_packs.selection.file import check_geographies, geographies, load_selection, travel_of
from tests.packs.selection.golden import SCHEMA, golden
from tests.packs.selection.selections import BEDROCK, PRIVACY, selection_value

BUDGET = {"budget": {"tokens": 1000}}


def load(folder: Path, value: dict[str, Any]) -> None:
    path = folder / "choice.yaml"
    path.write_text(yaml.safe_dump(value))
    load_selection(path)


@pytest.mark.parametrize(
    "privacy", [None, {"may_leave_account": False, "reason": "the rows are secret"}]
)
def test_without_permission_no_candidate_of_bedrock(tmp_path: Path, privacy: Any) -> None:
    value = selection_value(candidates={"a": BEDROCK, "b": BEDROCK}, bedrock=BUDGET)
    if privacy:
        value["privacy"] = privacy
    with pytest.raises(InputError, match="may_leave_account: true"):
        load(tmp_path, value)


def test_a_permission_needs_a_reason(tmp_path: Path) -> None:
    privacy = {"may_leave_account": True, "reason": ""}
    value = selection_value(candidates={"a": BEDROCK, "b": BEDROCK}, bedrock=BUDGET)
    with pytest.raises(InputError, match=r"privacy\.reason"):
        load(tmp_path, value | {"privacy": privacy})


def test_bedrock_needs_a_budget(tmp_path: Path) -> None:
    value = selection_value(candidates={"a": BEDROCK, "b": BEDROCK}, privacy=PRIVACY)
    with pytest.raises(InputError, match=r"bedrock\.budget"):
        load(tmp_path, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unanswered": "yes"}, "expected a label of `prompt.answers`: late or paid"),
        ({"examples": 3}, "an even number"),
        ({"region": "Virginia"}, "region"),
    ],
)
def test_a_wrong_candidate_is_refused_by_its_key(tmp_path, change, message) -> None:
    candidates = {"a": BEDROCK | change, "b": BEDROCK}
    value = selection_value(candidates=candidates, privacy=PRIVACY, bedrock=BUDGET)
    with pytest.raises(InputError, match=message):
        load(tmp_path, value)


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"metric": "auc", "better_than": "champion"}, "only majority"),
        ({"metric": "acme.metrics:cost", "maximum": 1}, "expected one of accuracy"),
        ({"metric": "injection_flip_rate", "maximum": 0.1}, "set `injections`"),
    ],
)
def test_a_must_that_cannot_be_judged_is_refused(tmp_path, gate, message) -> None:
    musts = {"quality": [gate | {"reason": "a rule"}]}
    with pytest.raises(InputError, match=message):
        load(tmp_path, selection_value(musts=musts))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no selection .*nothing\.yaml"):
        load_selection(tmp_path / "nothing.yaml")


@pytest.mark.parametrize(
    ("model", "geography", "where"),
    [
        ("amazon.nova-2-lite-v1:0", "", "Bedrock in eu-west-1"),
        ("zai.glm-4.7", "", "Bedrock in eu-west-1"),
        ("eu.amazon.nova-2-lite-v1:0", "eu", "from eu-west-1 to Regions in Europe"),
        ("global.amazon.nova-2-lite-v1:0", "global", "every commercial Region"),
    ],
)
def test_a_model_id_tells_where_texts_are_processed(model: str, geography: str, where: str) -> None:
    travel = travel_of(model, region="eu-west-1")
    assert travel.geography == geography
    assert where in travel.where


@pytest.mark.parametrize(
    "model",
    [
        "xx.amazon.nova-2-lite-v1:0",
        "nova",
        "arn:aws:bedrock:eu-west-1:111122223333:application-inference-profile/abc.def",
    ],
)
def test_an_id_that_tells_no_geography_is_refused(model: str) -> None:
    with pytest.raises(InputError, match="nobody can say where"):
        travel_of(model, region="eu-west-1")


def test_no_geography_is_taken_for_a_provider() -> None:
    assert not set(geographies().geographies) & set(geographies().providers)


def test_an_unknown_geography_is_refused() -> None:
    with pytest.raises(InputError, match="`moon` is not known; expected us"):
        check_geographies(("us", "moon"))


def test_the_json_schema_is_current() -> None:
    assert {SCHEMA: SCHEMA.read_bytes()} == golden(), "run `make golden` and look at the diff"
