from pathlib import Path
from typing import Any

import pytest
import yaml

from sashiko.errors import InputError
from sashiko_packs.selection.file import check_geographies, geographies, load_selection, travel_of
from tests.packs.selection.golden import SCHEMA, golden
from tests.packs.selection.selections import BEDROCK, PRIVACY, selection_value

BUDGET = {"budget": {"tokens": 1000}}


def of_bedrock(**changes: Any) -> dict[str, Any]:
    candidates = {"a": BEDROCK | changes, "b": BEDROCK}
    return {"candidates": candidates, "privacy": PRIVACY, "bedrock": BUDGET}


def must(**gate: Any) -> dict[str, Any]:
    return {"musts": {"quality": [gate | {"reason": "a rule"}]}}


SECRET = {"may_leave_account": False, "reason": "the rows are secret"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (of_bedrock() | {"privacy": None}, "may_leave_account: true"),
        (of_bedrock() | {"privacy": SECRET}, "may_leave_account: true"),
        (of_bedrock() | {"privacy": PRIVACY | {"reason": ""}}, r"privacy\.reason"),
        (of_bedrock() | {"bedrock": {}}, r"bedrock\.budget"),
        (of_bedrock(unanswered="yes"), "expected a label of `prompt.answers`: late or paid"),
        (of_bedrock(examples=3), "a multiple of 2"),
        (of_bedrock(region="Virginia"), "region"),
        (must(metric="auc", better_than="champion"), "only majority"),
        (must(metric="acme.metrics:cost", maximum=1), "expected one of accuracy"),
        (must(metric="injection_flip_rate", maximum=0.1), "set `injections`"),
    ],
)
def test_a_wrong_file_is_refused_by_its_key(tmp_path: Path, changes: Any, message: str) -> None:
    path = tmp_path / "choice.yaml"
    value = selection_value(**changes).items()
    path.write_text(yaml.safe_dump({key: item for key, item in value if item not in (None, {})}))
    with pytest.raises(InputError, match=message):
        load_selection(path)


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


def test_geographies_are_no_providers_and_an_unknown_one_is_refused() -> None:
    assert not set(geographies().geographies) & set(geographies().providers)
    with pytest.raises(InputError, match="`moon` is not known; expected us"):
        check_geographies(("us", "moon"))


def test_the_json_schema_is_current() -> None:
    assert {SCHEMA: SCHEMA.read_bytes()} == golden(), "run `make golden` and look at the diff"
