"""Guardrail, and what JudgeBias makes of it: whom a guardrail blocks, by Bedrock on loopback."""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sashiko_packs.bedrock.steps.guardrail_bias import difference_interval, guardrail_checks

from sashiko.base.files import write_json
from sashiko.base.parquet import write_table
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.evaluation.gates.verdict import Check, describe
from sashiko.settings.bias import BiasSection
from sashiko_packs.bedrock.steps import guardrail
from sashiko_packs.bedrock.steps.guardrail import OUTCOMES_FILE, VERSION_FILE
from tests.packs.bedrock.loopback import Bedrock, served
from tests.packs.bedrock.runtime import Runtime, serving
from tests.unit.bias.steps.bias_folders import facet_rows
from tests.unit.contract.documents import document, save

NAME = "sashiko-dev-models"
TEXTS = [f"loan {number}" for number in range(30)]


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    control = Bedrock(guardrails={"g9": ("another", (4,)), "g1": (NAME, (1, 10, 9))})
    state = Runtime(blocks=lambda text: text.endswith("7"))
    with served(control) as url, serving(state) as runtime_url:
        for name, value in {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_BEDROCK": url,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": runtime_url,
            "OPT_ML": str(tmp_path),
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sashiko.base.bedrock_calls.time.sleep", lambda _: None)
        test = tmp_path / "processing/input/test"
        test.mkdir(parents=True)
        keys = [f"k{number:02}" for number in range(len(TEXTS))]
        labels = [number % 2 for number in range(len(TEXTS))]
        write_table(test / "data.parquet", pa.table({"key": keys, "text": TEXTS, "label": labels}))
        yield state


def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str = NAME) -> Path:
    monkeypatch.setattr(sys, "argv", ["guardrail", "--name", name])
    guardrail.main()
    return tmp_path / "processing/output/outcomes"


def test_each_text_is_checked_once_and_its_outcome_is_kept_by_key(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = run(tmp_path, monkeypatch)
    table = pq.read_table(outcomes / OUTCOMES_FILE)
    assert table.column_names == ["key", "label", "blocked"]
    blocked = {row["key"] for row in table.to_pylist() if row["blocked"]}
    assert blocked == {"k07", "k17", "k27"}
    assert sorted(runtime.texts()) == sorted(TEXTS)
    requests = [request for _, request in runtime.requests]
    assert {(item["guardrailIdentifier"], item["guardrailVersion"]) for item in requests} == {
        ("g1", "10")
    }
    assert json.loads((outcomes / VERSION_FILE).read_text()) == {"id": "g1", "version": "10"}


def test_throttling_outages_and_read_timeouts_are_waited_out(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.config import Config

    def impatient(**options: Any) -> Config:
        return Config(**(options | {"read_timeout": 0.3}))

    monkeypatch.setattr("botocore.config.Config", impatient)
    runtime.faults = [
        "ThrottlingException", "silent", "ServiceUnavailableException", "cut",
        "InternalServerException", "silent",
    ]  # fmt: skip
    outcomes = run(tmp_path, monkeypatch)
    assert pq.read_table(outcomes / OUTCOMES_FILE).num_rows == len(TEXTS)


def test_what_the_service_refuses_ends_the_step_and_leaves_nothing(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.faults = ["ValidationException"]
    with pytest.raises(InputError, match=r"guardrail g1, version 10: ValidationException.*shorten"):
        run(tmp_path, monkeypatch)
    assert not (tmp_path / "processing/output/outcomes" / OUTCOMES_FILE).exists()


def test_an_account_without_the_guardrail_says_what_to_deploy(
    runtime: Runtime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="no guardrail of-nobody with a numbered version: deploy"):
        run(tmp_path, monkeypatch, name="of-nobody")
    assert runtime.requests == []


def judged(root: Path, *, old: tuple[int, int], young: tuple[int, int], needed: int = 100) -> Check:
    """The check of a test split with (blocked, rows) of the disadvantaged group and the others."""
    save(document(), root)
    contract = load_contract(next(root.glob("*.yaml")))
    groups = [("old", *old), ("young", *young)]
    ages = [name for name, _, rows in groups for _ in range(rows)]
    blocked = [int(place < count) for _, count, rows in groups for place in range(rows)]
    keys = [f"k{number}" for number in range(len(ages))]
    outcomes = root / "outcomes"
    outcomes.mkdir()
    write_table(
        outcomes / OUTCOMES_FILE,
        pa.table({"key": keys, "label": [0] * len(keys), "blocked": blocked}),
    )
    write_json(outcomes / VERSION_FILE, {"id": "g1", "version": "3"})
    facets = root / "facets.parquet"
    write_table(facets, facet_rows(keys[::-1], ages[::-1], ["no"] * len(keys)))
    (check,) = guardrail_checks(
        contract,
        BiasSection(minimum_group_size=needed),
        outcomes=outcomes,
        facets_file=facets,
        maximum=0.02,
    )
    return check


def test_a_guardrail_that_blocks_one_group_fails_with_counts_and_interval(tmp_path: Path) -> None:
    check = judged(tmp_path, old=(30, 300), young=(20, 1000))
    assert not check.passed
    assert check.value == pytest.approx(0.08)
    assert 0.02 < float(check.low or 0) < 0.08 < float(check.high or 0)
    text = describe(check)
    assert "30 of 300 (10.0% [" in text
    assert "20 of 1,000 (2.0% [" in text
    assert "guardrail g1, version 3" in text


def test_one_that_blocks_the_others_more_often_fails_too(tmp_path: Path) -> None:
    assert not judged(tmp_path, old=(10, 1000), young=(30, 300)).passed


def test_one_that_blocks_nobody_passes_with_an_interval(tmp_path: Path) -> None:
    check = judged(tmp_path, old=(0, 300), young=(0, 1000))
    assert (check.passed, check.value) == (True, 0)
    assert check.spans_bound is False
    assert float(check.low or 0) < 0 < float(check.high or 0)


@pytest.mark.parametrize(("old", "passed"), [((9, 300), False), ((1, 300), True)])
def test_fewer_than_ten_texts_are_no_number_and_decide_all_the_same(
    tmp_path: Path, old: tuple[int, int], passed: bool
) -> None:
    check = judged(tmp_path, old=old, young=(0, 1000))
    assert (check.passed, check.value, check.low) == (passed, None, None)
    assert not any(number in check.reason for number in ("300", "9 of", "1 of"))


def test_too_small_a_group_is_not_judged(tmp_path: Path) -> None:
    check = judged(tmp_path, old=(90, 99), young=(0, 1000))
    assert (check.passed, check.judged, check.value) == (True, False, None)


@pytest.mark.parametrize(
    ("one", "other", "ends"),
    [
        # Newcombe (1998), table II, method 10: 56/70 - 48/80, 9/10 - 3/10, 0/20 - 0/10.
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((0, 20), (0, 10), (-0.2775, 0.1611)),
    ],
)
def test_the_interval_of_a_difference_is_the_published_one(
    one: tuple[int, int], other: tuple[int, int], ends: Sequence[float]
) -> None:
    assert difference_interval(one, other) == pytest.approx(ends, abs=1e-4)
