from typing import Any

import pyarrow as pa
import pytest

from sashiko.bias.steps import clarify_bias
from sashiko.errors import InputError
from tests.unit.bias.clarify.configs import BOTH, GUIDE, NAMES, csv_text
from tests.unit.bias.clarify.configs import ROWS as GUIDE_ROWS
from tests.unit.bias.steps.bias_folders import Job

HEADERS = ["label", "predicted_label", "age"]
# old: 4 rows, 1 predicted positive; young: 4 rows, 2 predicted positive
ROWS = "1,1,old\n1,0,old\n0,0,old\n0,0,old\n1,1,young\n1,1,young\n0,0,young\n0,0,young\n"
POST: dict[str, Any] = {
    "version": "1.0",
    "dataset_type": "text/csv",
    "headers": HEADERS,
    "label": "label",
    "label_values_or_threshold": [1],
    "predicted_label": "predicted_label",
    "facet": [{"name_or_index": "age", "value_or_threshold": ["old"]}],
    "methods": {
        "post_training_bias": {"methods": ["DI", "DPPL", "RD", "AD"]},
        "report": {"name": "report", "title": "Analysis Report"},
    },
}


def analyse(job: Job, config: dict[str, Any], text: str | None = None) -> Any:
    job.section("analysis_config", config)
    if text is not None:
        job.text("data", text)
    job.run(clarify_bias)
    return job.json("analysis.json")


def metrics_of(analysis: Any, stage: str, facet: str, group: int = 0) -> dict[str, Any]:
    metrics = analysis[f"{stage}_training_bias_metrics"]["facets"][facet][group]["metrics"]
    return {metric["name"]: metric for metric in metrics}


def values(analysis: Any, stage: str = "post", group: int = 0) -> dict[str, Any]:
    metrics = metrics_of(analysis, stage, "age", group)
    return {name: metric["value"] for name, metric in metrics.items()}


def test_the_output_has_clarifys_schema(job: Job) -> None:
    metrics = (
        ("AD", "Accuracy Difference (AD)", 0.25),
        ("DI", "Disparate Impact (DI)", 0.5),
        ("DPPL", "Difference in Positive Proportions in Predicted Labels (DPPL)", 0.25),
        ("RD", "Recall Difference (RD)", 0.5),
    )
    keys = ("name", "description", "value")
    shown = [dict(zip(keys, metric, strict=True)) for metric in metrics]
    assert analyse(job, POST, ROWS) == {
        "version": "1.0",
        "post_training_bias_metrics": {
            "label": "label",
            "label_value_or_threshold": "1",
            "facets": {"age": [{"value_or_threshold": "old", "metrics": shown}]},
        },
    }


def test_labels_in_parquet_by_value_and_one_against_the_rest(job: Job) -> None:
    ages = ["young", "old", "old", "mid", "mid", "mid"]
    late = ["yes", "no", "yes", "no", "no", "yes"]
    job.parquet("data", pa.table({"loan": [1, 2, 3, 4, 5, 6], "age": ages, "late": late}))
    config = {
        "dataset_type": "application/x-parquet",
        "label": "late",
        "label_values_or_threshold": ["yes"],
        "facet": [{"name_or_index": "age"}],
        "excluded_columns": ["loan"],
        "methods": {"pre_training_bias": {"methods": "all"}},
    }
    analysis = analyse(job, config)
    groups = analysis["pre_training_bias_metrics"]["facets"]["age"]
    assert [group["value_or_threshold"] for group in groups] == ["mid", "old", "young"]
    metrics = values(analysis, "pre", 1)
    assert metrics["CI"] == pytest.approx((4 - 2) / 6)
    assert metrics["DPL"] == pytest.approx(2 / 4 - 1 / 2)
    config["facet"] = [{"name_or_index": "age", "value_or_threshold": ["old", "young"]}]
    analysis = analyse(job, config)
    group = analysis["pre_training_bias_metrics"]["facets"]["age"][0]
    assert group["value_or_threshold"] == "old,young"
    assert values(analysis, "pre")["CI"] == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("1,1,old\n0,0,old\n", "the advantaged group has no rows", id="one value"),
        pytest.param("1,1,young\n0,0,mid\n", "the disadvantaged group has no rows", id="no such"),
        pytest.param("1,0,old\n0,0,young\n", "no row is predicted positive", id="all negative"),
        pytest.param(ROWS + "0,0,\n", "1 of 9 rows have no value of the facet", id="no value"),
    ],
)
def test_what_cannot_be_computed_has_no_value_and_says_why(job: Job, text, reason) -> None:
    analysis = analyse(job, POST, text)
    for metric in analysis["post_training_bias_metrics"]["facets"]["age"][0]["metrics"]:
        assert metric["value"] is None
        assert reason in metric["error"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "is empty", id="empty file"),
        pytest.param("label,predicted_label,age\n", "no rows", id="header only"),
        pytest.param("label,age,predicted_label\n1,old,1\n", "looks like a header", id="order"),
        pytest.param("1,1,old\n,0,young\n", "column `label` .`label`. has 1 empty", id="no label"),
        pytest.param("1,nan,old\n0,0,young\n", "column `predicted_label` .* has 1 empty", id="NaN"),
        pytest.param("1,1,old\n0,young\n", "with 3 columns", id="ragged"),
        pytest.param("0,0,old\n0,1,young\n", "no row of column `label` has 1", id="no positive"),
        pytest.param("1,yes,old\n0,no,young\n", "has no, yes, which column", id="vocabulary"),
        pytest.param("1,0.8,old\n0,0,young\n", "has 0.8, which column", id="a probability"),
    ],
)
def test_bad_rows_end_with_a_message_and_no_output(job: Job, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        analyse(job, POST, text)
    assert not job.output("analysis.json").exists()


def test_a_csv_in_another_encoding_is_named(job: Job) -> None:
    (job.folder("data") / "data.csv").write_bytes("1,1,alt\n0,0,ält\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"data\.csv is not a CSV in UTF-8"):
        analyse(job, POST)


def test_no_data_file_and_a_truncated_parquet_are_named(job: Job) -> None:
    with pytest.raises(InputError, match="no data file"):
        analyse(job, POST)
    (job.folder("data") / "data.parquet").write_bytes(b"PAR1 cut off")
    config = {key: value for key, value in POST.items() if key != "headers"}
    with pytest.raises(InputError, match="not a whole Parquet file"):
        analyse(job, config | {"dataset_type": "application/x-parquet"})


def test_too_many_values_are_no_groups(job: Job) -> None:
    many = "".join(f"{n % 2},{n % 2},a{n}\n" for n in range(51))
    with pytest.raises(InputError, match="column `age` has 51 values, too many for a group each"):
        analyse(job, POST | {"facet": [{"name_or_index": "age"}]}, many)
    facet = [{"name_or_index": "age", "value_or_threshold": ["a1"]}]
    assert values(analyse(job, POST | {"facet": facet}, many))["DPPL"] == pytest.approx(24 / 50 - 1)
    labels = many.replace("a", "")
    with pytest.raises(InputError, match="column `age` has 51 values, too many for a category"):
        swapped = {
            "label": "age",
            "label_values_or_threshold": ["1"],
            "facet": [{"name_or_index": "label"}],
        }
        analyse(job, POST | swapped, labels)


# The facts of "Analysis Configuration Files" and "Analysis Results" in the Amazon SageMaker AI
# Developer Guide, written anew:
# https://docs.aws.amazon.com/sagemaker/latest/dg/clarify-processing-job-configure-analysis.html
# https://docs.aws.amazon.com/sagemaker/latest/dg/clarify-processing-job-analysis-results.html


def test_all_metrics_of_the_guides_data(job: Job) -> None:
    """The guide's predictor answers a label and its probability; here a column has them."""
    rows = [(*row, label) for row, label in zip(GUIDE_ROWS, [0, 1, 1, 0], strict=True)]
    config = GUIDE | {"methods": BOTH, "predicted_label": "predicted"}
    analysis = analyse(job, config, csv_text(rows, (*NAMES, "predicted")))
    results = metrics_of(analysis, "pre", "Gender")
    assert list(results) == ["CDDL", "CI", "DPL", "JS", "KL", "KS", "LP", "TVD"]
    assert results["CI"]["value"] == pytest.approx((1 - 3) / 4)  # three rows have Gender 0
    assert results["DPL"]["value"] == pytest.approx(1 - 1 / 3)
    assert results["CDDL"]["value"] is None
    assert "group variable" in results["CDDL"]["error"]
    results = metrics_of(analysis, "post", "Gender")
    names = "AD CDDPL DAR DCA DCR DI DPPL DRR GE RD SD TE"
    assert " ".join(results) == names
    assert results["DI"]["value"] == pytest.approx((1 / 3) / 1)
    assert results["AD"]["value"] == 0


def test_a_multiclass_label_and_a_categorical_facet_of_two_values(job: Job) -> None:
    """The guide's bird, cat and dog: two of them are positive, or make the group."""
    rows = [("cat", "bird"), ("dog", "dog"), ("bird", "cat"), ("bird", "dog")]
    config = GUIDE | {
        "label": "pet",
        "label_values_or_threshold": ["cat", "dog"],
        "facet": [{"name_or_index": "likes", "value_or_threshold": ["bird", "cat"]}],
    }
    analysis = analyse(job, config, csv_text(rows, ("pet", "likes")))
    stage = analysis["pre_training_bias_metrics"]
    assert stage["label_value_or_threshold"] == "cat,dog"
    assert stage["facets"]["likes"][0]["value_or_threshold"] == "bird,cat"
    assert metrics_of(analysis, "pre", "likes")["DPL"]["value"] == 0
