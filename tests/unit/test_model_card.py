"""The model card, held against the SDK's own model of SageMaker's schema."""

import json
from pathlib import Path

import pytest

from sashiko.model_card import card_text, model_card
from sashiko.steps.register import read_sources
from tests.unit.steps.register_job import RegisterJob


@pytest.fixture
def card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    job = RegisterJob(tmp_path)
    monkeypatch.setenv("OPT_ML", str(job.root))
    contract = job.input("config") / "contract.odcs.yaml"
    contract.write_text(contract.read_text() + f"description: {{limitations: {'long ' * 900}}}\n")
    return model_card(read_sources("loans", bias_not_judged=""))


def test_sagemakers_schema_knows_every_key_and_allows_every_value(card, monkeypatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    from sagemaker.core.shapes.model_card_shapes import ModelCardContent

    read = ModelCardContent.model_validate(card)
    assert json.loads(read.model_dump_json(exclude_none=True)) == card


def test_a_packages_card_says_no_more_of_the_model_than_its_schema_takes(card) -> None:
    assert set(card["model_overview"]) <= {"model_creator", "model_artifact"}
    assert "model_package_details" not in card


def test_an_interval_stands_beside_its_number(card) -> None:
    [bias] = [group for group in card["evaluation_details"][0]["metric_groups"]
              if group["name"] == "bias"]  # fmt: skip
    [impact] = [item for item in bias["metric_data"] if "DI" in item["name"]]
    assert (impact["value"], impact["notes"]) == (0.95, "95 % interval 0.9 to 1")


def test_the_card_says_what_moves_the_score_and_no_word_of_a_row(card) -> None:
    said = card["additional_information"]["custom_details"]["explanations"]
    assert said == "title moves the score most."
    assert "overdue" not in card_text(card)


def test_long_texts_are_cut_and_the_text_is_one_line(card) -> None:
    assert len(card["intended_uses"]["factors_affecting_model_efficiency"]) == 2048
    assert len(card_text(card).splitlines()) == 1


def test_leads_and_the_worst_slices_stand_in_it_with_their_rows(card) -> None:
    groups = {group["name"]: group["metric_data"]
              for group in card["evaluation_details"][0]["metric_groups"]}  # fmt: skip
    assert "auc" in {item["name"] for item in groups["lead over tfidf_logistic_regression"]}
    names = [item["name"] for item in groups["worst slices"]]
    assert "balanced_accuracy branch=west (200 rows)" in names
    assert not any("shelf=rare" in name for name in names)
