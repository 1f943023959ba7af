"""The model card, held against the SDK's own model of SageMaker's schema."""

import json
from dataclasses import replace
from datetime import date

import pytest

from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import FlipCount, InjectionFigures, read_evaluation
from sashiko.evaluation.gates.verdict import Check, decide
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.registry.model_card import card_markdown, card_text, model_card
from sashiko.settings.recipe_data import ModelSection
from sashiko.settings.recipe_quality import Waiver
from sashiko.steps.register import read_sources
from tests.unit.contract.documents import contract_of, number
from tests.unit.run_report import runs
from tests.unit.steps.register_job import RegisterJob


@pytest.fixture
def sources(tmp_path, monkeypatch):
    job = RegisterJob(tmp_path)
    monkeypatch.setenv("OPT_ML", str(job.root))
    contract = job.input("config") / "contract.odcs.yaml"
    contract.write_text(contract.read_text() + f"description: {{limitations: {'long ' * 900}}}\n")
    return read_sources("loans", bias_not_judged="", source_execution="")


@pytest.fixture
def card(sources):
    return model_card(sources).model_dump(mode="json", exclude_none=True)


def test_sagemakers_schema_knows_every_key_and_allows_every_value(card, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    from sagemaker.core.shapes.model_card_shapes import ModelCardContent

    read = ModelCardContent.model_validate(card)
    assert json.loads(read.model_dump_json(exclude_none=True)) == card


def test_a_packages_card_has_what_its_schema_takes_and_intervals_beside_numbers(card):
    assert set(card["model_overview"]) <= {"model_creator", "model_artifact"}
    assert "model_package_details" not in card

    [bias] = [group for group in card["evaluation_details"][0]["metric_groups"]
              if group["name"] == "bias"]  # fmt: skip
    [impact] = [item for item in bias["metric_data"] if " DI " in item["name"]]
    assert (impact["value"], impact["notes"]) == (0.95, "95 % interval 0.9 to 1")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("intended_uses", "risk_rating"), "low"),
        (("intended_uses", "purpose_of_model"), "x" * 2049),
        (("model_overview", "model_owner"), "Ada"),
        (("training_details", "training_observations"), "x" * 1025),
        (("additional_information", "custom_details"), {"key": "x" * 1025}),
        (("additional_information", "custom_details"), {"key": 1}),
    ],
)
def test_what_sagemaker_would_refuse_is_refused_before(card, path, value):
    card[path[0]][path[1]] = value
    with pytest.raises(InputError, match=path[1]):
        card_text(card)


def test_the_combination_that_is_worst_off_is_named_with_its_number(sources):
    common = {"stage": "post_training", "metric": "DI", "facet": ("age", "sex"), "looks": 3,
              "n_disadvantaged": 120, "n_advantaged": 280}  # fmt: skip
    intersections = [
        BiasEstimate.model_validate({**common, "group": group, "value": value, **ends})
        for group, value, ends in (
            (("old", "m"), 0.9, {"low": 0.8, "high": 1.0}),
            (("old", "f"), 0.6, {"low": 0.5, "high": 0.7}),
            (("young", "f"), 0.1, {}),
        )
    ]
    card = model_card(replace(sources, estimates=[*sources.estimates, *intersections]))
    text = card.additional_information.ethical_considerations
    assert "2 of 3 combinations of facets' groups can be judged, 1 have too few rows" in text
    assert "Worst off by DI: age=old & sex=f with 0.6 [0.5, 0.7], 120 rows" in text
    assert "95 % hold over 3 looks at once" in text
    groups = {group.name: group.metric_data for group in card.evaluation_details[0].metric_groups}
    worst = groups["worst intersections by DI"]
    assert [item.name for item in worst] == [
        "post_training DI age=old & sex=f", "post_training DI age=old & sex=m",
    ]  # fmt: skip
    assert worst[0].notes == "95 % interval 0.5 to 0.7, over 3 looks at once"
    assert not any("&" in item.name for item in groups["bias"])


def test_texts_leads_and_slices_of_the_card_are_cut_and_have_no_word_of_a_row(card):
    text = card["additional_information"]["custom_details"]["explanations"]
    assert text == "title moves the score most."
    assert "overdue" not in card_text(card)
    assert len(card["intended_uses"]["factors_affecting_model_efficiency"]) == 2048
    assert len(card_text(card).splitlines()) == 1

    groups = {group["name"]: group["metric_data"]
              for group in card["evaluation_details"][0]["metric_groups"]}  # fmt: skip
    assert "auc" in {item["name"] for item in groups["lead over tfidf_logistic_regression"]}
    names = [item["name"] for item in groups["worst slices"]]
    assert "balanced_accuracy branch=west (200 rows)" in names
    assert not any("shelf=rare" in name for name in names)


def test_uses_and_contacts_are_the_recipes_and_what_it_leaves_out_is_named(card):
    uses = card["intended_uses"]
    assert uses["intended_uses"].startswith("Sorting a queue.\nNot intended: Not stated: key `card")
    assert uses["risk_rating"] == "Low"
    assert card["business_details"]["business_stakeholders"] == "desk@example.com"
    job = card["training_details"]["training_job_details"]
    assert {"name": "reweighing_strength", "value": "1.5"} in job["user_provided_hyper_parameters"]


def test_the_card_of_a_linear_model_names_no_base_model_and_no_setting_that_it_ignores(sources):
    linear = replace(sources, model=ModelSection(family="linear"))
    card = model_card(linear).model_dump(mode="json", exclude_none=True)
    details = card["additional_information"]["custom_details"]
    assert details["base_model"].startswith("none: tfidf-logistic-regression")
    assert not {"base_model_licence", "base_model_sha256"} & details.keys()
    job = card["training_details"]["training_job_details"]
    names = {item["name"] for item in job["user_provided_hyper_parameters"]}
    assert names == {"calibration", "reweighing_facets", "reweighing_strength"}


def test_the_card_of_a_number_says_what_is_predicted_and_by_which_linear_model(sources, tmp_path):
    contract = contract_of(number(above=5), tmp_path)
    linear = replace(sources, contract=contract, model=ModelSection(family="linear"))
    card = model_card(linear)
    assert card.intended_uses.purpose_of_model.startswith("Predicts price (favourable: above 5) in")
    base = card.additional_information.custom_details["base_model"]
    assert base == "none: tfidf-ridge-regression, trained on these data alone"


def test_a_waived_check_begins_the_limits(sources):
    waiver = Waiver(
        check="DI a=b", reason="a person reads it", owner="Ada", expires=date(2027, 1, 1)
    )
    failed = Check(name="DI a=b", value=0.7, passed=False, waiver=waiver)
    waived = decide(gate="bias", checks=[failed], inputs={})
    card = model_card(replace(sources, verdicts=[waived]))
    limits = card.additional_information.caveats_and_recommendations
    assert limits.startswith("FAILED: DI a=b = 0.7. WAIVED by Ada until 2027-01-01")


def test_what_no_gate_judged_and_what_barely_passed_stands_beside_the_bias(sources):
    spans = Check(
        name="DI a=b", value=0.85, low=0.75, high=0.95, threshold=0.8, comparison=">=", passed=True
    )
    none = Check(name="a=c", passed=True, judged=False, reason="0 rows in the test split")
    verdict = decide(gate="bias", checks=[spans, none], inputs={})
    text = model_card(replace(sources, verdicts=[verdict])).additional_information
    assert text.ethical_considerations.startswith(
        "bias: 1 check passed; passed, but the interval spans the bound: "
        "DI a=b = 0.85 [0.75, 0.95], required >= 0.8; not judged: a=c (0 rows in the test split)"
    )


def test_the_markdown_has_the_same_figures_and_no_markup_of_others(sources):
    card = model_card(sources)
    overview = card.model_overview.model_copy(update={"model_creator": "<script>*x*</script> | y"})
    loud = card.model_copy(update={"model_overview": overview})
    text = card_markdown(loud)
    assert "<script>" not in text.replace("\\<", "")
    metric = card.evaluation_details[0].metric_groups[0].metric_data[0]
    assert f"{metric.value:.4g}" in text
    for heading in ("Intended uses", "Contacts", "Bias", "Limits", "Training", "Risk"):
        assert f"## {heading}" in text


def test_the_first_day_of_a_split_by_time_stands_beside_its_rows(sources):
    test = sources.evaluation.splits["test"].model_copy(update={"since": date(2025, 12, 1)})
    evaluation = sources.evaluation.model_copy(update={"splits": {"test": test}})
    card = model_card(replace(sources, evaluation=evaluation))
    observations = card.training_details.training_observations
    assert observations == "test: 400 rows, 160 positive, from 2025-12-01"


def test_the_rate_of_flips_by_injections_stands_among_the_candidates_metrics(sources):
    rate = FlipCount(
        rows=20, flips=7, control_flips=2, rate=Estimate(value=0.35, low=0.2, high=0.6),
        above_control=Estimate(value=0.25, low=0.1, high=0.5),
    )  # fmt: skip
    figures = InjectionFigures(
        injections=46, sha256="0" * 64, refused=0, cut_off=0, overall=rate, from_positive=rate,
        from_negative=rate, by_kind={},
    )  # fmt: skip
    evaluation = sources.evaluation.model_copy(update={"injection": figures})
    for measured, expected in ((evaluation, [0.25]), (sources.evaluation, [])):
        content = model_card(replace(sources, evaluation=measured))
        (candidate,) = [
            group for group in content.evaluation_details[0].metric_groups
            if group.name == "candidate"
        ]  # fmt: skip
        rates = [item.value for item in candidate.metric_data if "injection" in item.name]
        assert rates == expected


def test_a_card_of_several_classes_has_each_recall_and_the_confusion_matrix(
    sources, tmp_path, monkeypatch
):
    labels = ("Kredit, Darlehen", "Konto", 'Karte "Gold"', "Überweisung")
    runs.registered(tmp_path / "other", bias={"metric": "macro_f1"}, labels=labels)
    evaluation = read_evaluation(next((tmp_path / "other").rglob("metrics.json")))
    made = model_card(replace(sources, evaluation=evaluation))
    value = made.model_dump(mode="json", exclude_none=True)
    groups = {
        group["name"]: group["metric_data"]
        for group in value["evaluation_details"][0]["metric_groups"]
    }
    (matrix,) = groups["confusion"]
    assert (matrix["x_axis_name"], matrix["type"]) == (list(labels), "matrix")
    assert matrix["value"] == [list(counts) for counts in evaluation.matrix]
    assert len(groups["recall by class"]) == 4
    assert (
        groups["recall by class"][3]["name"] == "recall of Überweisung (20 rows, too few to judge)"
    )
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    from sagemaker.core.shapes.model_card_shapes import ModelCardContent

    read = ModelCardContent.model_validate(value)
    assert json.loads(read.model_dump_json(exclude_none=True)) == value
    counts = " | ".join(str(count) for count in evaluation.matrix[0])
    assert f"| Kredit, Darlehen | {counts} |" in card_markdown(made)
