"""Recipe and contract: each is valid alone, and together they may not be."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto import mock_aws
from pydantic import ValidationError

from sashiko.account.names import key_alias
from sashiko.base.yaml_models import deep_merge
from sashiko.contract.model import Contract
from sashiko.errors import InputError
from sashiko.pipeline.project import check_recipe
from sashiko.pipeline.witness import AccountWitness
from sashiko.registry.chain import Link
from sashiko.registry.versions import to_version
from sashiko.settings.recipe import Recipe, load_recipe
from sashiko.settings.recipe_bias import BiasSection
from sashiko.settings.recipe_quality import QualityGate
from tests.infra.variants import recipes_of, settings_of
from tests.unit.contract.documents import (
    column_of,
    contract_of,
    custom,
    document,
    number,
    two_facets,
)
from tests.unit.registry.model_packages.account import replace_signing_key
from tests.unit.run_report.runs import recipe

SOURCE = Path("recipes/loans.yaml")
UNJUDGED = {"judged": False, "reason": "no column tells groups", "gates": []}
LABELS = {
    "metric": "DPL", "facet": "age", "maximum": 0.1, "change_since": "champion", "reason": "-",
}  # fmt: skip
INTERSECTION = {"metric": "DI", "facet": ["age", "sex"], "minimum": 0.8, "reason": "-"}


def problems(folder: Path, config: Recipe, *, facets: list[Any] | None = None) -> str:
    bent = document()
    if facets is not None:
        custom(bent, "facets")["value"] = facets
    with pytest.raises(InputError) as caught:
        check_recipe(config, contract_of(bent, folder), source=SOURCE)
    assert all(line.startswith(f"{SOURCE}: ") for line in str(caught.value).splitlines())
    return str(caught.value)


def test_what_fits_passes(tmp_path: Path) -> None:
    check_recipe(recipe(), contract_of(document(), tmp_path), source=SOURCE)
    bent = document()
    custom(bent, "facets")["value"] = []
    check_recipe(recipe(**UNJUDGED), contract_of(bent, tmp_path), source=SOURCE)


def test_without_facets_the_recipe_must_say_so_and_reweighs_nothing(tmp_path: Path) -> None:
    text = problems(tmp_path, recipe(), facets=[])
    assert "recipes/loans.yaml" in text
    assert "contracts/loans.odcs.yaml" in text
    assert "bias: {judged: false, reason: why}" in text
    values = recipe(**UNJUDGED).model_dump(mode="json") | {"reweighing": {"strength": 1.0}}
    assert "`reweighing`" in problems(tmp_path, Recipe.model_validate(values), facets=[])


@pytest.mark.parametrize(("bias", "expected"), [
    (UNJUDGED, "has facets (age), so bias is judged"),
    ({"gates": []}, "`bias.gates`: no gate judges the facets"),
    ({"gates": [INTERSECTION]}, "`bias.gates`: sex is no facet"),
    ({"gates": [LABELS]}, "no gate judges the facets"),
])  # fmt: skip
def test_facets_are_judged_each_by_a_gate_and_nothing_else_is(tmp_path, bias: Any, expected: str):
    assert expected in problems(tmp_path, recipe(**bias))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"judged": False}, "`reason` goes with `judged: false`"),
        ({"judged": False, "reason": "  "}, "`reason` goes with `judged: false`"),
        ({"reason": "because"}, "`reason` goes with `judged: false`"),
        (UNJUDGED | {"gates": [{"metric": "DI", "facet": "age", "minimum": 0.8, "reason": "-"}]},
         "remove `gates`"),
    ],
)  # fmt: skip
def test_unjudged_needs_a_reason_and_nothing_to_gate(changes: Any, expected: str) -> None:
    with pytest.raises(ValidationError, match=expected):
        BiasSection.model_validate(changes)


@pytest.mark.parametrize(("changes", "expected"), [
    ({"facet": ["age"]}, "expected a facet, or a list of two or more"),
    ({"facet": ["age", "age"]}, "expected a facet, or a list of two or more"),
    ({"facet": ["age", 7]}, "expected a facet, or a list of two or more"),
    ({"facet": 7}, "expected a facet, or a list of two or more"),
    ({"metric": "GE"}, "GE is of all rows, whatever their group"),
    ({"metric": "mae"}, "mae is measured for one facet at a time: name one"),
    ({"change_since": "champion"}, "goes with a metric of the labels: CI, DPL, JS, KL, KS, LP, T"),
    ({"metric": "CDDL", "change_since": "champion"}, "`change_since` goes with a metric of the l"),
])  # fmt: skip
def test_an_intersection_names_two_facets_or_more(tmp_path: Path, changes: Any, expected) -> None:
    values = recipe().model_dump(mode="json")
    values["bias"]["gates"] = [INTERSECTION | changes]
    path = tmp_path / "loans.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(InputError) as caught:
        load_recipe(path)
    assert str(caught.value).startswith(f"{path}: key `bias.gates.0")
    assert expected in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_too_many_combinations_of_groups_are_refused_before_anything_is_trained(tmp_path: Path):
    many = two_facets()
    for name in ("age", "sex"):
        values = [*column_of(many, name)["enum"], *({"value": f"{n}"} for n in range(16))]
        column_of(many, name)["enum"] = values
    with pytest.raises(InputError, match=r"324 combinations of groups, more than 300; say `inter"):
        check_recipe(recipe(), contract_of(many, tmp_path), source=SOURCE)
    config = recipe(intersection_depth=1)
    check_recipe(config, contract_of(many, tmp_path), source=SOURCE)


@pytest.mark.parametrize("bias", [{"gates": [INTERSECTION]}, UNJUDGED])
def test_a_recipe_survives_being_written_and_read(bias: Any) -> None:
    config = recipe(**bias)
    assert Recipe.model_validate(config.model_dump(mode="json")) == config
    assert "judged" not in recipe().bias.model_dump(mode="json")  # what JudgeBias reads stays


@pytest.mark.parametrize(("family", "compile_", "message"), [
    ("causal", {"target": "cpu", "dtype": "bfloat16"}, "target cpu does not serve bfloat16"),
    ("encoder", {"target": "gpu", "dtype": "bfloat16"}, "bfloat16 is for causal LMs"),
])  # fmt: skip
def test_a_type_that_a_target_does_not_serve_is_named(tmp_path, family, compile_, message):
    text = problems(tmp_path, changed(family, compile_))
    assert f"key `compile.dtype`: {message}" in text


def changed(family: str, compile_: dict[str, str]) -> Recipe:
    causal = {
        "model": {"family": "causal", "chat_template_sha256": "a" * 64},
        "train": {"frozen_layers": 0, "lora": {}},
        "prompt": {"template": "{text}?", "answers": {"false": "no", "true": "yes"}},
    }
    keys = {"compile": compile_} | (causal if family == "causal" else {})
    return Recipe.model_validate(deep_merge(recipe().model_dump(mode="json"), keys))


def test_a_prompt_answers_the_contracts_labels_on_a_target_that_serves_causal_lms(tmp_path: Path):
    text = problems(tmp_path, changed("causal", {"target": "inf2"}))
    assert "key `prompt.answers`: it is for false, true; the labels of" in text
    assert "key `compile.target`: inf2 serves encoders only" in text


def test_a_number_is_learned_by_no_causal_lm_and_has_no_temperature(tmp_path: Path) -> None:
    contract = contract_of(number(), tmp_path)
    scaled = recipe().model_dump(mode="json") | {"train": {"calibration": "temperature"}}
    for config, key in (
        (changed("causal", {"target": "cpu"}), "model.family"),
        (Recipe.model_validate(scaled), "train.calibration"),
    ):
        with pytest.raises(InputError) as caught:
            check_recipe(config, contract, source=SOURCE)
        expected = f"key `{key}`: the label of contracts/loans.odcs.yaml is a number"
        assert expected in str(caught.value)
        assert "prompt.answers" not in str(caught.value)


SETTINGS = settings_of("dev")
DIGEST = hashlib.sha256(b"a statement").digest()


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The environment's KMS, with its first key."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    with mock_aws():
        client = boto3.client("kms", region_name=SETTINGS.region)
        key = client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")["KeyMetadata"]
        alias = key_alias(SETTINGS, "signing")
        client.create_alias(AliasName=alias, TargetKeyId=key["KeyId"])
        yield client


def witness(*numbers: int, signature: bytes) -> Link:
    settings = SETTINGS.model_copy(update={"signing_keys": numbers})
    version = to_version("group", 1, status="Approved", tags={}, aliases=())
    (recipe,) = recipes_of(settings)
    known = AccountWitness(settings, recipe, home=Path(), version=version)
    return known.signature(DIGEST, signature)


def test_an_earlier_keys_signature_is_verified_until_that_key_is_distrusted(kms: Any) -> None:
    alias = key_alias(SETTINGS, "signing")
    signed = kms.sign(
        KeyId=alias, Message=DIGEST, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
    )
    replace_signing_key(kms, alias)

    link = witness(1, 2, signature=signed["Signature"])
    assert (link.state, link.detail) == ("verified", f"signed by {signed['KeyId']}")
    link = witness(2, signature=signed["Signature"])
    assert (link.state, link.detail) == ("broken", f"its signature is not of {alias}")


@pytest.fixture
def of_three(tmp_path: Path) -> Contract:
    edited = document()
    custom(edited, "label")["value"] = {"column": "late", "favourable": ["no"]}
    names = ("no", "a week", "for ever")
    column_of(edited, "late")["enum"] = [{"value": name} for name in names]
    return contract_of(edited, tmp_path)


_OF_CLASS = {"metric": "recall", "class": "a week", "minimum": 0.5, "reason": "-"}


@pytest.mark.parametrize(("changes", "expected"), [
    ({"quality": {"gates": [{"metric": "auc", "minimum": 0.8, "reason": "-"}]}},
     "key `quality.gates.0.metric`: auc does not fit the label of "),
    ({"evaluate": {"slices": {"metric": "f1"}}},
     "key `evaluate.slices.metric`: f1 does not fit the label of "
     "contracts/loans.odcs.yaml, which has 3 classes; choose one of accuracy, balanced_accuracy, "
     "macro_f1, log_loss"),
    ({"evaluate": {"threshold": {"metric": "f1"}}},
     "key `evaluate.threshold`: the label of contracts/loans.odcs.yaml has 3 classes"),
    ({"evaluate": {"injections": 20}},
     "key `evaluate.injections`: the label of contracts/loans.odcs.yaml has 3 classes"),
    ({"evaluate": {"top_k": 3}},
     "key `evaluate.top_k`: the label of contracts/loans.odcs.yaml has 3 classes, and 3 must be"),
    ({"quality": {"gates": [{"metric": "top_3_accuracy", "minimum": 0.8, "reason": "-"}]}},
     "top_3_accuracy does not fit the label of contracts/loans.odcs.yaml, which has 3 classes"),
    ({"quality": {"gates": [_OF_CLASS | {"class": "a wek"}]}},
     "key `quality.gates.0.class`: a wek does not fit the label of contracts/loans.odcs.yaml, "
     "which has 3 classes; choose one of a week, for ever, no"),
])  # fmt: skip
def test_what_more_than_two_classes_do_not_have_is_refused_by_name(of_three, changes, expected):
    fitting = recipe("worst_class_recall").model_dump(mode="json", exclude_unset=True)
    fitting["evaluate"] = {"abstain": {"accuracy": 0.9}}
    for gate in (_OF_CLASS, {"metric": "coverage", "minimum": 0.5, "reason": "-"}):
        fitting["quality"]["gates"].append(gate)
    check_recipe(Recipe.model_validate(fitting), of_three, source=SOURCE)
    with pytest.raises(InputError) as caught:
        check_recipe(Recipe.model_validate(deep_merge(fitting, changes)), of_three, source=SOURCE)
    assert expected in str(caught.value)


_LEAD = {"metric": "mae", "better_than": "majority", "reason": "-"}
_OF_NUMBER = "the label of contracts/loans.odcs.yaml, which is a number; choose one of "


@pytest.mark.parametrize(("changes", "expected"), [
    ({"quality": {"gates": [{"metric": "auc", "minimum": 0.8, "reason": "-"}]}},
     f"key `quality.gates.0.metric`: auc does not fit {_OF_NUMBER}rmse, mae, median_absolute"),
    ({"quality": {"gates": [_LEAD]}},
     f"`quality.gates.0.better_than`: majority does not fit {_OF_NUMBER}mean, tfidf_ridge_regre"),
    ({"evaluate": {"slices": {"metric": "f1"}}},
     f"key `evaluate.slices.metric`: f1 does not fit {_OF_NUMBER}rmse, mae"),
    ({"evaluate": {"threshold": {"metric": "f1"}}},
     "key `evaluate.threshold`: the label of contracts/loans.odcs.yaml is a number, whose bound"),
    ({"evaluate": {"injections": 20}},
     "key `evaluate.injections`: the label of contracts/loans.odcs.yaml is a number, and an inj"),
    ({"evaluate": {"abstain": {"below": 0.5}}},
     "key `evaluate.abstain`: the label of contracts/loans.odcs.yaml is a number and has no pro"),
    ({"evaluate": {"top_k": 3}},
     "key `evaluate.top_k`: the label of contracts/loans.odcs.yaml is a number, and 3 must be"),
    ({"quality": {"gates": [_OF_CLASS]}},
     f"key `quality.gates.0.metric`: recall does not fit {_OF_NUMBER}rmse, mae"),
])  # fmt: skip
def test_what_a_number_does_not_have_is_refused_by_name(tmp_path, changes, expected):
    contract = contract_of(number(), tmp_path)
    fitting = recipe("mae").model_dump(mode="json", exclude_unset=True)
    gates = [_LEAD | {"better_than": name} for name in ("mean", "tfidf_ridge_regression")]
    fitting["quality"]["gates"] += gates
    fitting["evaluate"] = {"slices": {"minimum_rows": 30}}
    check_recipe(Recipe.model_validate(fitting), contract, source=SOURCE)
    with pytest.raises(InputError) as caught:
        check_recipe(Recipe.model_validate(fitting | changes), contract, source=SOURCE)
    assert expected in str(caught.value)


def test_classes_have_no_bias_metric_of_a_number(tmp_path: Path) -> None:
    gate = {"metric": "interval_coverage", "facet": "age", "minimum": 0.8, "reason": "-"}
    of_classes = recipe().model_dump(mode="json", exclude_unset=True)
    of_classes["bias"]["gates"] = [gate]
    text = problems(tmp_path, Recipe.model_validate(of_classes))
    assert "key `bias.gates.0.metric`: interval_coverage is of a label that is a number" in text
    of_number = recipe("mae").model_dump(mode="json", exclude_unset=True)
    of_number["bias"]["gates"] = [gate]
    contract = contract_of(number(), tmp_path)
    check_recipe(Recipe.model_validate(of_number), contract, source=SOURCE)


def test_classes_have_no_baseline_of_a_number_and_two_no_metric_of_several(tmp_path: Path) -> None:
    config = recipe().model_dump(mode="json", exclude_unset=True)
    config["quality"]["gates"][0] = _LEAD | {"metric": "auc", "better_than": "mean"}
    text = problems(tmp_path, Recipe.model_validate(config))
    assert "key `quality.gates.0.better_than`: mean does not fit the label of" in text
    assert text.endswith("choose one of majority, tfidf_logistic_regression, champion")

    text = problems(tmp_path, recipe("top_2_accuracy"))
    assert "top_2_accuracy does not fit the label of" in text
    assert "average_precision" in text
    config = recipe("auc").model_dump(mode="json", exclude_unset=True)
    text = problems(
        tmp_path, Recipe.model_validate(config | {"evaluate": {"abstain": {"below": 0.5}}})
    )
    assert "`evaluate.abstain`: the label of contracts/loans.odcs.yaml has 2 classes and is" in text


@pytest.mark.parametrize("metric", ["interval_coverage", "injection_flip_rate"])
def test_what_is_measured_of_the_model_alone_has_no_lead(metric) -> None:
    with pytest.raises(ValidationError, match=f"`{metric}` is measured of the model alone: give"):
        QualityGate(metric=metric, better_than="champion", reason="-")


@pytest.mark.parametrize(("changes", "expected"), [
    ({"abstain": {}}, "give either `below` or `accuracy`"),
    ({"abstain": {"below": 0.5, "accuracy": 0.9}}, "give either `below` or `accuracy`"),
    ({"top_k": 1}, "greater than or equal to 2"),
    ({}, "bounds `selective_accuracy`, which is not measured: set `evaluate.abstain`"),
])  # fmt: skip
def test_a_policy_is_whole_and_a_gate_on_it_needs_it(changes, expected) -> None:
    config = recipe().model_dump(mode="json", exclude_unset=True)
    config["quality"]["gates"][0]["metric"] = "selective_accuracy"
    with pytest.raises(ValidationError, match=expected):
        Recipe.model_validate(config | {"evaluate": changes})
