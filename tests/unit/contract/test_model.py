import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sashiko.contract.load import load_contract
from sashiko.contract.model import Classification, TextHashSplit, TimeSplit
from sashiko.errors import InputError
from tests.unit.contract.documents import (
    column_of,
    contract_of,
    custom,
    document,
    grouped,
    save,
    table_of,
)

CONTRACTS = sorted((Path(__file__).parents[3] / "contracts").glob("*.odcs.yaml"))


def _problems(change: Callable[[dict[str, Any]], None], folder: Path) -> list[str]:
    edited = document()
    change(edited)
    path = save(edited, folder)
    with pytest.raises(InputError) as error:
        load_contract(path)
    lines = str(error.value).splitlines()
    assert all(line.startswith(str(path)) for line in lines), lines
    return lines


def test_a_contract_says_what_its_file_says(contract):
    assert (contract.id, contract.version, contract.table) == ("library-loans", "2.1.0", "loans")
    assert contract.key == "loan_id"
    assert (contract.label.positive, contract.label.negative) == ("yes", "no")
    assert contract.facets[0].disadvantaged == ("old",)
    assert contract.split == TextHashSplit(validation_share=0.2, test_share=0.3)
    assert contract.freshness is not None
    assert contract.freshness.as_of == dt.date(2025, 3, 10)


def test_the_views_keep_apart_what_may_be_trained_on_and_what_may_be_judged_by(contract):
    names = {view: [c.name for c in contract.view_columns(view)] for view in ("training", "facets")}
    assert names["training"] == ["loan_id", "lent_at", "pages", "price", "title", "late"]
    assert names["facets"] == ["loan_id", "age", "late"]


def test_a_time_split_by_days_ends_with_the_newest_rows_day(tmp_path):
    edited = document()
    _time_split(validation_days=30, test_days=1)(edited)
    split = contract_of(edited, tmp_path).split
    assert isinstance(split, TimeSplit)
    dates = split.dates(dt.date(2025, 3, 1))
    assert str(dates) == "validation from 2025-01-30, test from 2025-03-01"


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.stem)
def test_every_shipped_contract_is_valid_and_shows_no_personal_column(path):
    contract = load_contract(path)
    hidden: set[Classification] = set()
    for view in ("training", "facets"):
        hidden |= {c.classification for c in contract.view_columns(view)}
    assert "pii" not in hidden
    training = {c.name for c in contract.view_columns("training")}
    assert training.isdisjoint(facet.column for facet in contract.facets)


def test_an_unquoted_yes_or_no_of_yaml_is_refused_and_not_turned_into_a_truth_value(tmp_path):
    path = save(document(), tmp_path)
    path.write_text(path.read_text().replace("positive: 'yes'", "positive: yes"))
    with pytest.raises(InputError, match=r"label.positive.*valid string.*quotes .* such as 'yes'"):
        load_contract(path)
    path.write_text(path.read_text().replace("positive: yes", "positive: 1"))
    with pytest.raises(InputError, match=r"label.positive.*got 1.*quotes around it, '1'"):
        load_contract(path)
    path.write_text(path.read_text().replace("positive: 1", "positive: 'yes'"))
    path.write_text(path.read_text().replace("value: 'yes'", "value: yes"))
    with pytest.raises(InputError, match=r"`late`: `enum` .* YAML read true there as no text"):
        load_contract(path)


def _set(name: str, key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda edited: column_of(edited, name).update({key: value})


def _rule(**rule: Any) -> Callable[[dict[str, Any]], None]:
    return _set("price", "quality", [rule])


def _no_facets(edited: dict[str, Any]) -> None:
    properties = table_of(edited)["customProperties"]
    properties.remove(custom(edited, "facets"))


def _drop(name: str, key: str) -> Callable[[dict[str, Any]], None]:
    return lambda edited: column_of(edited, name).pop(key) and None


def _custom(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda edited: custom(edited, name).update({"value": value})


def _time_split(**bounds: Any) -> Callable[[dict[str, Any]], None]:
    return _custom("split", {"kind": "time", "column": "lent_at"} | bounds)


def _words(*pairs: list[str]) -> Callable[[dict[str, Any]], None]:
    return _custom("facets", [{"column": "age", "disadvantaged": ["old"], "words": list(pairs)}])


def _no_label(edited: dict[str, Any]) -> None:
    table_of(edited)["customProperties"].remove(custom(edited, "label"))


def _misspelt(edited: dict[str, Any]) -> None:
    custom(edited, "facets")["property"] = "facet"


def _values(edited: dict[str, Any]) -> None:
    label = custom(edited, "label")
    label["values"] = label.pop("value")


def _ingest(value: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    rule = {"property": "ingest", "value": value}
    return lambda edited: table_of(edited)["customProperties"].append(rule)


def _day_with_a_time(edited: dict[str, Any]) -> None:
    due = {"name": "due", "description": "Due.", "logicalType": "date", "classification": "none"}
    due["logicalTypeOptions"] = {"format": "dd.MM.yyyy HH:mm"}
    table_of(edited)["properties"].append(due)


def _twice(edited: dict[str, Any]) -> None:
    table_of(edited)["properties"].append(column_of(edited, "title"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("pages", "logicalType", "int"), r"column `pages`: key `logicalType`: 'int' is not"),
        (_set("price", "logicalType", "array"), r"column `price`: key `logicalType`: Input should"),
        (_drop("pages", "logicalType"), r"column `pages`: key `logicalType` is missing"),
        (_set("title", "classification", "secret"), r"column `title`.*'sensitive' or 'pii'"),
        (_drop("title", "classification"), r"column `title`: key `classification` is missing"),
        (_drop("title", "description"), r"column `title`: key `description` is missing"),
        (_set("title", "colour", "red"), r"column `title`:.*colour"),
        (_set("title", "encryptedName", "x"), r"column `title`: key `encryptedName` is not supp"),
        (_set("title", "logicalTypeOptions", {"minimum": 1}), r"column `title`.*minimum"),
        (_set("title", "logicalTypeOptions", {"format": "uuid"}),
         r"column `title`.*`logicalTypeOptions.format`"),
        (_set("lent_at", "logicalTypeOptions", {"format": "dd.MM."}), r"lent_at`.*year, month and"),
        (_set("lent_at", "logicalTypeOptions", {"format": "dd. MMM yyyy"}), r"`MMM` is not"),
        (_day_with_a_time, r"column `due`.*has a time, so `logicalType` must be timestamp"),
        (_ingest({"thousands": "."}), r"`decimal` and `thousands` are both '.'"),
        (_ingest({"delimiter": "::"}), r"key `ingest.delimiter`"),
        (_ingest({"encoding": "cp1252"}), r"key `ingest.encoding`.*'windows-1252'"),
        (_set("title", "name", "Title"), r"column `Title`: key `name`"),
        (_set("lent_at", "logicalTypeOptions", {"minimum": "last week"}),
         r"column `lent_at`: key `minimum`: 'last week' is not"),
        (_rule(metric="nullValues", mustBeLessThan=5), r"nullValues mustBeLessThan"),
        (_rule(metric="nullValues", mustBeGreaterThan=5, unit="percent"), r"nullValues mustBeGr"),
        (_rule(metric="duplicateValues", mustBeLessThan=5), r"duplicateValues mustBeLessThan"),
        (_rule(metric="rowCount", mustNotBe=5), r"rowCount mustNotBe"),
        (_rule(type="sql", query="SELECT 1", mustBe=1), r"`price`: .*type `sql` cannot be checked"),
        (_rule(type="text", description="be good"), r"type `text` cannot be checked"),
        (_rule(metric="nullValues", mustBe=0, severity="info"), r"`severity` is not supported"),
        (_rule(metric="nullValues", mustBe=0, unit="ppm"), r"column `price`: .*'ppm' is neither"),
        (lambda edited: edited["slaProperties"].append(
            {"property": "availability", "value": 99, "unit": "percent"}),
         r"`availability` cannot be checked; allowed: latency"),
        (_twice, r"column `title`: 2 columns have this name"),
        (_set("price", "physicalName", "pages"), r"column `pages`: 2 columns have this phys"),
        (_drop("loan_id", "primaryKey"), r"`primaryKey`: exactly one column .* found none"),
        (_set("loan_id", "classification", "pii"), r"column `loan_id`: the key is in every view"),
        (_no_label, r"key `label` is missing"),
        (_misspelt, r"unknown custom property `facet`; allowed: label, .*did you mean `facets`"),
        (_values, r"table `loans`: custom property `label`: unknown key `values`; allowed: descr"),
        (_values, r"custom property `label`: .*, vendor; did you mean `value`\?"),
        (_set("title", "customProperties", [{"property": "x", "val": 1}]),
         r"column `title`: custom property `x`: unknown key `val`; .* did you mean `value`\?"),
        (_custom("label", {"column": "late", "positve": "yes", "negative": "no"}),
         r"unknown key `label.positve`; .*; did you mean `positive`\?"),
        (_custom("label", {"column": "late", "positive": "yes"}), r"`label.negative` is missing"),
        (_custom("label", {"column": "lat", "positive": "yes", "negative": "no"}),
         r"key `label`: no column `lat`; the columns are loan_id"),
        (_custom("label", {"column": "late", "positive": "yes", "negative": "never"}),
         r"column `late`: `enum` must hold exactly the label's two values"),
        (_set("late", "classification", "sensitive"), r"column `late`: the label is trained on"),
        (_set("age", "classification", "pii"), r"column `age`: key `classification`: .* not `pii`"),
        (_drop("age", "required"), r"column `age`: a facet needs"),
        (_no_facets, r"key `facets` is missing"),
        (_custom("facets", [{"column": "age", "disadvantaged": ["ancient"]}]), r"no value ancient"),
        (_words(["old ", "young"]), r"expected whole words"),
        (_words(["Gran", "lad"], ["lass", "gran"]), r"`words` says 'gran' of both groups"),
        (_custom("facets", [{"column": "age", "disadvantaged": ["old", "young"]}]), r"no group"),
        (_custom("textColumns", ["reader"]), r"column `reader`: key `textColumns`"),
        (_custom("textColumns", ["late"]), r"column `late`: key `textColumns`: neither key"),
        (_custom("split", {"kind": "random"}), r"key `split`.*'time', 'text_hash'"),
        (_custom("split", {"kind": "text_hash", "validation_share": 0.5, "test_share": 0.5}),
         r"key `split`:.* nothing to train on"),
        (_custom(
             "split",
             {"kind": "time", "column": "title", "validation_from": "2025-01-02",
              "test_from": "2025-01-01"},
         ),
         r"column `title`: a split by time needs a required date"),
        (_time_split(validation_from="2025-01-02", test_from="2025-01-02"),
         r"key `split`: validation_from must lie before test_from"),
        (_time_split(), r"key `split`: expected either `validation_from` and `test_from`"),
        (_time_split(test_days=30), r"key `split`: .* or `validation_days` and `test_days`"),
        (_time_split(validation_from="2025-01-01", test_days=30), r"key `split`: expected either"),
        (_time_split(
             validation_from="2025-01-01",
             test_from="2025-02-01",
             validation_days=30,
             test_days=30,
         ),
         r"key `split`: expected either"),
        (_time_split(validation_days=0, test_days=30), r"split.validation_days`: .* equal to"),
        (_time_split(validation_days=30, test_day=30),
         r"unknown key `split.test_day`.*did you mean `test_days`"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_contract_is_reported_with_file_and_column(change, message, tmp_path):
    lines = _problems(change, tmp_path)
    assert any(re.search(message, line) for line in lines), lines


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("city", r"key `groupVariable`: no column `city`"),
        ("late", r"key `groupVariable`: `late` is the key, the label or a facet"),
        ("age", r"key `groupVariable`: `age` is the key, the label or a facet"),
        ("reader", r"column `reader`: a group variable must be `none` or `sensitive`, not `pii`"),
        ("title", r"column `title`: a group variable needs .* an `enum`"),
    ],
)
def test_a_group_variable_must_be_a_column_of_few_values(name, message, tmp_path):
    edited = grouped()
    custom(edited, "groupVariable")["value"] = name
    with pytest.raises(InputError, match=message):
        contract_of(edited, tmp_path)


def test_all_problems_of_the_columns_are_reported_at_once(tmp_path):
    def change(edited: dict[str, Any]) -> None:
        del column_of(edited, "title")["classification"]
        del column_of(edited, "price")["description"]

    assert len(_problems(change, tmp_path)) == 2


def test_another_tools_property_may_stand_beside_ours(tmp_path):
    other = document()
    mine = {"property": "owner_team", "value": "desk", "vendor": "acme"}
    table_of(other)["customProperties"].append(mine)
    assert contract_of(other, tmp_path).table == "loans"


def test_an_old_standard_is_refused(tmp_path):
    (line,) = _problems(lambda edited: edited.update(apiVersion="v3.0.2"), tmp_path)
    assert "v3.1.0 or newer" in line
