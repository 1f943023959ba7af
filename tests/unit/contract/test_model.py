import datetime as dt
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sashiko.contract.leaks import column_auc, leak_checks
from sashiko.contract.load import load_contract
from sashiko.contract.model import Classification, Contract, TextHashSplit, TimeSplit
from sashiko.contract.suite_checks import run_checks
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check
from tests.unit.contract import documents
from tests.unit.contract.documents import rows
from tests.unit.run_report.page import browser_tab, find_browser

CONTRACTS = sorted((Path(__file__).parents[3] / "contracts").glob("*.odcs.yaml"))


def _problems(change: Callable[[dict[str, Any]], None], folder: Path) -> list[str]:
    edited = documents.document()
    change(edited)
    path = documents.save(edited, folder)
    with pytest.raises(InputError) as error:
        load_contract(path)
    lines = str(error.value).splitlines()
    assert all(line.startswith(str(path)) for line in lines), lines
    return lines


def test_a_contract_says_what_its_file_says_and_its_views_keep_apart_what_may_be_read(contract):
    assert (contract.id, contract.version, contract.table) == ("library-loans", "2.1.0", "loans")
    assert contract.key == "loan_id"
    assert (contract.label.favourable, contract.classes) == (("yes",), ("no", "yes"))
    assert contract.facets[0].disadvantaged == ("old",)
    assert contract.split == TextHashSplit(validation_share=0.2, test_share=0.3)
    assert contract.freshness is not None
    assert contract.freshness.as_of == dt.date(2025, 3, 10)
    names = {view: [c.name for c in contract.view_columns(view)] for view in ("training", "facets")}
    assert names["training"] == ["loan_id", "lent_at", "pages", "price", "title", "late"]
    assert names["facets"] == ["loan_id", "age", "late"]


def _classes(*names: str, favourable: list[str]) -> Callable[[dict[str, Any]], None]:
    def change(edited: dict[str, Any]) -> None:
        documents.column_of(edited, "late")["enum"] = [{"value": name} for name in names]
        _custom("label", {"column": "late", "favourable": favourable})(edited)

    return change


def test_a_label_of_two_classes_means_the_same_in_its_older_form(contract, tmp_path):
    edited = documents.document()
    value = {"column": "late", "kind": "classes", "favourable": ["yes"]}
    _custom("label", value)(edited)
    read = documents.contract_of(edited, tmp_path)
    assert read.classes == contract.classes
    assert read.first_favourable == contract.first_favourable == 1


def test_favourable_classes_come_last_each_part_in_the_order_of_the_enum(contract):
    names = ('fine, "then"', "päivä", "lost", "in time")
    (column,) = (item for item in contract.columns if item.name == "late")
    label = contract.label.model_copy(update={"favourable": ("in time", 'fine, "then"')})
    changed = contract.model_copy(
        update={
            "columns": (column.model_copy(update={"allowed_values": names}),),
            "label": label,
        }
    )
    assert changed.classes == ("päivä", "lost", 'fine, "then"', "in time")
    assert changed.first_favourable == 2


def test_a_time_split_by_days_ends_with_the_newest_rows_day(tmp_path):
    edited = documents.document()
    _time_split(validation_days=30, test_days=1)(edited)
    split = documents.contract_of(edited, tmp_path).split
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
    path = documents.save(documents.document(), tmp_path)
    path.write_text(path.read_text().replace("positive: 'yes'", "positive: yes"))
    with pytest.raises(InputError, match=r"label.positive.*valid string.*quotes .* such as 'yes'"):
        load_contract(path)
    path.write_text(path.read_text().replace("positive: yes", "positive: 1"))
    with pytest.raises(InputError, match=r"label.positive.*got 1.*quotes around it, '1'"):
        load_contract(path)
    path.write_text(path.read_text().replace("positive: 1", "positive: 'yes'"))
    path.write_text(path.read_text().replace("value: 'yes'", "value: yes"))
    with pytest.raises(InputError, match=r"`late`: `enum` .* YAML did not read true there as text"):
        load_contract(path)


def _set(name: str, key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda edited: documents.column_of(edited, name).update({key: value})


def _rule(**rule: Any) -> Callable[[dict[str, Any]], None]:
    return _set("price", "quality", [rule])


def _no_facets(edited: dict[str, Any]) -> None:
    properties = documents.table_of(edited)["customProperties"]
    properties.remove(documents.custom(edited, "facets"))


def _drop(name: str, key: str) -> Callable[[dict[str, Any]], None]:
    return lambda edited: documents.column_of(edited, name).pop(key) and None


def test_a_number_has_two_outcomes_at_its_bound(tmp_path):
    contract = documents.contract_of(documents.number(above=1234567.5), tmp_path)
    assert contract.is_number
    assert contract.label.above == 1234567.5
    assert contract.classes == contract.outcomes == ("at most 1234567.5", "above 1234567.5")
    assert contract.classes[contract.first_favourable :] == contract.label.favourable
    assert documents.contract_of(documents.number(above=-0.0), tmp_path).classes[0] == "at most 0"
    exact = documents.contract_of(documents.number(above=0.1 + 0.2), tmp_path)
    assert (exact.label.above, exact.classes[0]) == (0.1 + 0.2, "at most 0.30000000000000004")


def _number(favourable: Any, **more: Any) -> Callable[[dict[str, Any]], None]:
    def change(edited: dict[str, Any]) -> None:
        documents.column_of(edited, "price")["required"] = True
        label = {"column": "price", "kind": "number", "favourable": favourable}
        _custom("label", label | more)(edited)

    return change


def _limits(**options: float) -> Callable[[dict[str, Any]], None]:
    return lambda edited: edited.update(documents.number(above=4, **options))


def _custom(name: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda edited: documents.custom(edited, name).update({"value": value})


def _time_split(**bounds: Any) -> Callable[[dict[str, Any]], None]:
    return _custom("split", {"kind": "time", "column": "lent_at"} | bounds)


def _words(*pairs: list[str]) -> Callable[[dict[str, Any]], None]:
    return _custom("facets", [{"column": "age", "disadvantaged": ["old"], "words": list(pairs)}])


def _no_label(edited: dict[str, Any]) -> None:
    documents.table_of(edited)["customProperties"].remove(documents.custom(edited, "label"))


def _misspelt(edited: dict[str, Any]) -> None:
    documents.custom(edited, "facets")["property"] = "facet"


def _values(edited: dict[str, Any]) -> None:
    label = documents.custom(edited, "label")
    label["values"] = label.pop("value")


def _ingest(value: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    rule = {"property": "ingest", "value": value}
    return lambda edited: documents.table_of(edited)["customProperties"].append(rule)


def _day_with_a_time(edited: dict[str, Any]) -> None:
    due = {"name": "due", "description": "Due.", "logicalType": "date", "classification": "none"}
    due["logicalTypeOptions"] = {"format": "dd.MM.yyyy HH:mm"}
    documents.table_of(edited)["properties"].append(due)


def _twice(edited: dict[str, Any]) -> None:
    documents.table_of(edited)["properties"].append(documents.column_of(edited, "title"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("pages", "logicalType", "int"), r"column `pages`: key `logicalType`: 'int' is not"),
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
        (_rule(metric="rowCount", mustNotBe=5), r"rowCount mustNotBe"),
        (_rule(type="sql", query="SELECT 1", mustBe=1), r"`price`: .*type `sql` cannot be checked"),
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
        (_custom("label", {"column": "late", "positive": "yes"}), r"`label`: `negative` is miss"),
        (_custom("label", {"column": "lat", "positive": "yes", "negative": "no"}),
         r"key `label`: no column `lat`; the columns are loan_id"),
        (_custom("label", {"column": "late", "positive": "yes", "negative": "never"}),
         r"column `late`: `enum` must hold exactly the label's two values"),
        (_custom("label", {"column": "late", "favourable": ["no"], "positive": "yes",
                           "negative": "no"}), r"`favourable` differs from `positive`"),
        (_custom("label", {"column": "late", "kind": "number"}), r"name the bound above which"),
        (_number({"above": 4}, column="late"), r"`late`: a label of `kind: number` must have `log"),
        (_number({"above": 4}, column="lent_at"), r"column `lent_at`: a label of `kind: number` m"),
        (_number({"above": 4}, column="pages"), r"column `pages`: .*, and `required: true`"),
        (_number({"below": 4}), r"`label`: .*no `below`: .* turn the sign of the column"),
        (_number({"above": "4"}), r"name the bound above which a value is favourable, such as"),
        (_number({"above": float("nan")}), r"`.nan` is not a finite number"),
        (_number({"above": 1e101}), r"`above: 1e\+101` is no number from -1e100 to 1e100"),
        (_number({"above": 4}, positive="yes"), r"a number has no `positive`; write `favourable"),
        (_number({"above": 4}, above=4), r"unknown key `label.above`; allowed: column, favourabl"),
        (_number({"above": 4}, kind="classes"), r"only a label of `kind: number` has a bound"),
        (_limits(maximum=4), r"`price`: its maximum leaves no value above 4; move `favourable.abo"),
        (_limits(exclusiveMinimum=4), r"`price`: its minimum leaves no value at most 4; move"),
        (_limits(minimum=5), r"column `price`: its minimum leaves no value at most 4; move"),
        (_custom("label", {"column": "late"}), r"name one or more of the classes 'yes', 'no'"),
        (_classes("a", "b", favourable=[]), r"`label.favourable`: name one or more .* 'a', 'b'"),
        (_classes("a", "b", favourable=["a", "b"]), r"`label.favourable`: names all classes"),
        (_classes("a", "b", favourable=["a", "c"]), r"'c' is in no `enum` of `late`: 'a', 'b'"),
        (_classes("a", favourable=["a"]), r"`late`: `enum` lists 1 classes; .* at least 2"),
        (_classes("a", "b", favourable=["a", "a"]), r"`late`: class 'a' is listed twice"),
        (_classes(*map(str, range(101)), favourable=["0"]), r"lists 101 .* and at most 100"),
        (_set("late", "classification", "sensitive"), r"column `late`: the label is trained on"),
        (_set("age", "classification", "pii"), r"column `age`: key `classification`: .* not `pii`"),
        (_drop("age", "required"), r"column `age`: a facet needs"),
        (_no_facets, r"key `facets` is missing"),
        (_custom("facets", [{"column": "age", "disadvantaged": ["ancient"]}]), r"no value ancient"),
        (_words(["old ", "young"]), r"expected whole words"),
        (_words(["Gran", "lad"], ["lass", "gran"]), r"`words` uses 'gran' for both groups"),
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
        (_time_split(validation_days=0, test_days=30), r"split.validation_days`: .* equal to"),
        (_time_split(validation_days=30, test_day=30),
         r"unknown key `split.test_day`.*did you mean `test_days`"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_contract_is_reported_with_file_and_column(change, message, tmp_path):
    lines = _problems(change, tmp_path)
    assert any(re.search(message, line) for line in lines), lines


@pytest.mark.parametrize(("name", "message"), [
    ("city", r"key `groupVariable`: no column `city`"),
    ("late", r"key `groupVariable`: `late` is the key, the label or a facet"),
    ("age", r"key `groupVariable`: `age` is the key, the label or a facet"),
    ("reader", r"column `reader`: a group variable must be `none` or `sensitive`, not `pii`"),
    ("title", r"column `title`: a group variable needs .* an `enum`"),
])  # fmt: skip
def test_a_group_variable_must_be_a_column_of_few_values(name, message, tmp_path):
    edited = documents.grouped()
    documents.custom(edited, "groupVariable")["value"] = name
    with pytest.raises(InputError, match=message):
        documents.contract_of(edited, tmp_path)


def test_all_problems_of_columns_are_reported_and_an_old_standard_is_refused(tmp_path):
    def change(edited: dict[str, Any]) -> None:
        del documents.column_of(edited, "title")["classification"]
        del documents.column_of(edited, "price")["description"]

    assert len(_problems(change, tmp_path)) == 2

    (line,) = _problems(lambda edited: edited.update(apiVersion="v3.0.2"), tmp_path)
    assert "v3.1.0 or newer" in line

    other = documents.document()
    mine = {"property": "owner_team", "value": "desk", "vendor": "acme"}
    documents.table_of(other)["customProperties"].append(mine)
    assert documents.contract_of(other, tmp_path).table == "loans"


ROWS = 400
POSITIVE = np.arange(ROWS) % 10 == 0
_DICE = random.Random(3)  # noqa: S311 - rows, no secrets
_REASON = "the reader enters it before the loan"


def _where(positive: list[Any], negative: list[Any]) -> list[Any]:
    return [_DICE.choice(positive if label else negative) for label in POSITIVE]


LEAKS = {
    "text filled in afterwards": pa.array(_where(["sued", "paid late"], [None])),
    "text of its own, filled in afterwards": pa.array(
        [f"case {n}" if POSITIVE[n] else None for n in range(ROWS)]
    ),
    "value": pa.array(_where(["closed"], ["open", "new"])),
    "amount, 0.00 for the others": pa.array(
        [_DICE.uniform(1, 9e4) if label else 0.0 for label in POSITIVE]
    ),
    "amount of either sign, 0.00 for the others": pa.array(
        [_DICE.uniform(-9, 9) if label else 0.0 for label in POSITIVE]
    ),
    "larger numbers": pa.array([_DICE.uniform(0, 1) + 2 * label for label in POSITIVE]),
    "smaller numbers": pa.array([_DICE.uniform(0, 1) - 2 * label for label in POSITIVE]),
    "whole numbers, most of them missing": pa.array(
        [n if POSITIVE[n] else _DICE.choice([None, -5]) for n in range(ROWS)], pa.int64()
    ),
    "larger numbers, some of the others missing": pa.array(
        [1000.0 + n if POSITIVE[n] else _DICE.choice([None, float(n)]) for n in range(ROWS)]
    ),
    "date filled in afterwards": pa.array(_where([dt.date(2025, 3, 9)], [None]), pa.date32()),
    "later date": pa.array(
        [dt.date(2020, 1, 1) + dt.timedelta(days=n + 1000 * int(POSITIVE[n])) for n in range(ROWS)]
    ),
    "later time": pa.array(
        [dt.datetime(2020 + int(label), 1, 1, tzinfo=dt.UTC) for label in POSITIVE],
        pa.timestamp("us", tz="UTC"),
    ),
    "yes or no": pa.array(POSITIVE),
}

HARMLESS = {
    "key": pa.array([f"K{n}" for n in range(ROWS)]),
    "running number": pa.array(range(ROWS), pa.int64()),
    # Each text is there twice, with the same label, as in a file that was loaded twice.
    "repeated texts": pa.array([f"text {n // 20 * 10 + n % 10}" for n in range(ROWS)]),
    "categories": pa.array([_DICE.choice("abcdefgh") for _ in range(ROWS)]),
    "one value": pa.array(["a"] * ROWS),
    "no value": pa.array([None] * ROWS, pa.string()),
    "no number": pa.array([None] * ROWS, pa.float64()),
    "numbers": pa.array([_DICE.gauss(0, 1) for _ in range(ROWS)]),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_column_that_tells_the_label_apart_has_an_auc_near_one(name):
    assert column_auc(LEAKS[name], POSITIVE) > 0.99


@pytest.mark.parametrize("name", HARMLESS)
def test_a_column_that_says_nothing_of_the_label_has_an_auc_near_a_half(name):
    assert 0.5 <= column_auc(HARMLESS[name], POSITIVE) < 0.65


def _contract(folder: Path, **properties: Any) -> Contract:
    edited = documents.document()
    documents.custom(edited, "textColumns")["value"] = ["title", "price"]
    for name, value in properties.items():
        documents.table_of(edited)["customProperties"].append({"property": name, "value": value})
    return documents.contract_of(edited, folder)


def _checks(contract: Contract, *, positive: Any = POSITIVE, **columns: Any) -> dict[str, Check]:
    rows = len(positive)
    table = pa.table(
        {"title": ["a", "b"] * (rows // 2), "price": [1.0, 2.0, 3.0, 4.0] * (rows // 4)}
        | {"late": ["yes" if label else "no" for label in positive]}
        | columns
    )
    return {check.name: check for check in leak_checks(documents.stream_of(table), contract)}


def test_a_leak_fails_by_the_name_of_its_column(tmp_path):
    prices = pa.array([0.0 if label else 3.5 for label in POSITIVE])
    checks = _checks(_contract(tmp_path), price=prices)
    assert [name for name, check in checks.items() if not check.passed] == [
        "price: AUC alone against the label"
    ]
    leak = checks["price: AUC alone against the label"]
    assert (leak.value, leak.threshold) == (1.0, 0.99)
    assert "remove `price` from `textColumns`" in leak.try_
    assert "acceptedLeaks: [{column: price, reason: ...}]" in leak.try_


def test_a_column_that_tells_the_side_of_the_bound_leaks_a_number(tmp_path):
    edited = documents.number(above=4)
    documents.custom(edited, "textColumns")["value"] = ["title", "pages"]
    prices = [n / 8 for n in range(ROWS)]
    contract = documents.contract_of(edited, tmp_path)
    leaking = _checks(contract, price=prices, pages=[int(price > 4) for price in prices])
    assert [name for name, check in leaking.items() if not check.passed] == [
        "pages: AUC alone against the label"
    ]
    assert all(
        check.passed
        for check in _checks(contract, price=prices, pages=[1, 2, 3, 4] * (ROWS // 4)).values()
    )


def test_a_leak_passes_with_the_written_reason_of_the_contract(tmp_path):
    contract = _contract(tmp_path, acceptedLeaks=[{"column": "price", "reason": _REASON}])
    prices = pa.array([0.0 if label else 3.5 for label in POSITIVE])
    check = _checks(contract, price=prices)["price: AUC alone against the label"]
    assert (check.passed, check.value) == (True, 1.0)
    assert _REASON in check.reason


@pytest.mark.parametrize(("accepted", "problem"), [
    ({"column": "price"}, "reason"),
    ({"column": "price", "reason": ""}, "reason"),
    ({"column": "pages", "reason": _REASON}, "`pages` is not one of the `textColumns`"),
])  # fmt: skip
def test_a_leak_is_not_accepted_without_a_reason_or_for_another_column(tmp_path, accepted, problem):
    with pytest.raises(InputError, match=r"acceptedLeaks|accepted_leaks") as error:
        _contract(tmp_path, acceptedLeaks=[accepted])
    assert problem in str(error.value)


def test_a_column_that_nearly_tells_the_label_apart_passes_with_a_question(tmp_path: Path) -> None:
    # Two of the forty positive rows look like the others.
    noisy = [9.0 if label and n >= 20 else n % 3 for n, label in enumerate(POSITIVE)]
    check = _checks(_contract(tmp_path), price=noisy)["price: AUC alone against the label"]
    assert check.value is not None
    assert 0.95 < check.value < 0.99
    assert check.passed
    assert check.reason == "is the column known when the model predicts?"


def test_few_rows_of_a_label_are_not_judged(tmp_path):
    few = np.arange(ROWS) < 9
    [check] = _checks(_contract(tmp_path), positive=few).values()
    assert (check.passed, check.judged) == (True, False)
    assert check.reason == "9 rows of the rarer label, 10 are needed"


def test_a_column_that_tells_one_of_three_classes_fails_by_both_names(tmp_path):
    edited = documents.document()
    documents.custom(edited, "textColumns")["value"] = ["title", "price"]
    _classes("soon", "lost", "late", "never", favourable=["soon"])(edited)
    contract = documents.contract_of(edited, tmp_path)
    late = [("soon", "lost", "late")[n % 3] for n in range(ROWS)]
    late[0] = "never"  # too few rows to judge by, and told by the title
    prices = [1.0 if name == "lost" else 2.0 + n % 2 for n, name in enumerate(late)]
    checks = _checks(contract, late=late, price=prices, title=["x", *["y"] * (ROWS - 1)])
    failed = [name for name, check in checks.items() if not check.passed]
    assert failed == ["price: AUC alone against the label 'lost'"]


def test_a_large_table_is_judged_on_an_even_sample(tmp_path):
    positive = np.arange(260_000) % 10 == 0
    prices = [0.0 if label else 3.5 for label in positive]
    checks = _checks(_contract(tmp_path), positive=positive, price=prices)
    assert not checks["price: AUC alone against the label"].passed
    assert checks["title: AUC alone against the label"].passed


SCRIPT = "<script>window.ran = 1</script>"
HOSTILE = f"</td></script>{SCRIPT}<img src=x onerror='window.ran = 1'>{{{{ 7 * 7 }}}} $value"


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """The pages of a view in which names, rules and failing values hold HTML."""
    folder = tmp_path_factory.mktemp("hostile")
    edited = documents.document()
    documents.table_of(edited)["properties"] = [
        column
        for column in documents.table_of(edited)["properties"]
        if column["name"] not in ("reader", "age")  # else failing values are not shown at all
    ]
    edited["name"] = HOSTILE
    documents.custom(edited, "facets")["value"] = []
    documents.custom(edited, "label")["value"]["negative"] = HOSTILE
    documents.column_of(edited, "late")["enum"] = [{"value": "yes"}, {"value": HOSTILE}]
    documents.column_of(edited, "title")["description"] = HOSTILE
    documents.column_of(edited, "title")["logicalTypeOptions"] = {"pattern": f"^{SCRIPT}$"}
    documents.table_of(edited)["quality"].append(
        {"metric": "rowCount", "mustBe": 1, "description": HOSTILE}
    )
    contract = documents.contract_of(edited, folder)
    table = rows(contract)
    for name in ("late", "title"):
        position = table.schema.get_field_index(name)
        table = table.set_column(position, name, pa.array([f"x{HOSTILE}"] * len(table)))
    checks = run_checks(documents.stream_of(table), contract, "training", docs=folder / "docs")
    failed = [check.reason for check in checks if not check.passed]
    assert sum(SCRIPT[:20] in reason for reason in failed) == 2  # where a page could show values
    return sorted((folder / "docs").rglob("*.html"))


def test_data_docs_hold_no_markup_of_the_data(pages):
    texts = [page.read_text() for page in pages]
    assert any("&lt;script&gt;window.ran" in text for text in texts)
    for text in texts:
        assert SCRIPT not in text
        assert "<img src=x" not in text


def test_a_browser_runs_nothing_of_the_data(pages, tmp_path):
    program = find_browser()
    if program is None:
        pytest.skip("no browser on PATH: the pages were not tried (apt-get install chromium)")
    with browser_tab(program, tmp_path) as tab:
        for page in pages:
            tab.open(page, width=1200)
            assert tab.value("typeof window.ran") == "undefined"
