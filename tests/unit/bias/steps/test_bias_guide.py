"""The bias step on the configurations of AWS's own guide.

The facts of "Analysis Configuration Files" and "Analysis Results" in the Amazon SageMaker AI
Developer Guide, written anew:
https://docs.aws.amazon.com/sagemaker/latest/dg/clarify-processing-job-configure-analysis.html
https://docs.aws.amazon.com/sagemaker/latest/dg/clarify-processing-job-analysis-results.html
"""

from typing import Any

import jsonschema
import pytest

from sashiko.bias.clarify.analysis import ANALYSIS_FILE
from sashiko.bias.steps import clarify_bias
from tests.unit.bias.clarify.configs import BOTH, GUIDE, NAMES, ROWS, csv_text
from tests.unit.bias.steps.bias_folders import Job

PRE = ["CDDL", "CI", "DPL", "JS", "KL", "KS", "LP", "TVD"]
POST = ["AD", "CDDPL", "DAR", "DCA", "DCR", "DI", "DPPL", "DRR", "GE", "RD", "SD", "TE"]


def _object(required: str, **properties: Any) -> dict[str, Any]:
    closed = {"type": "object", "additionalProperties": False}
    return closed | {"required": required.split(), "properties": properties}


_TEXT = {"type": "string"}
_METRIC = _object(
    "name description value", name=_TEXT, description=_TEXT, value={"type": ["number", "null"]},
    error={"type": "string", "minLength": 1},
)  # fmt: skip
_METRICS = {"type": "array", "items": _METRIC}
_GROUP = _object("value_or_threshold metrics", value_or_threshold=_TEXT, metrics=_METRICS)
_GROUPS = {"type": "array", "minItems": 1, "items": _GROUP}
_STAGE = _object(
    "label label_value_or_threshold facets", label=_TEXT, label_value_or_threshold=_TEXT,
    facets={"type": "object", "additionalProperties": _GROUPS},
)  # fmt: skip
SCHEMA = _object(
    "version", version={"const": "1.0"}, pre_training_bias_metrics=_STAGE,
    post_training_bias_metrics=_STAGE,
)  # fmt: skip


def analyse(job: Job, config: dict[str, Any], **files: str) -> Any:
    job.section("analysis_config", config)
    for name, text in files.items():
        job.text("data", text, file=name.replace("_", "."))
    job.run(clarify_bias)
    analysis = job.json(ANALYSIS_FILE)
    jsonschema.validate(analysis, SCHEMA)
    return analysis


def metrics(analysis: Any, stage: str, facet: str = "Gender") -> dict[str, dict[str, Any]]:
    groups = analysis[f"{stage}_training_bias_metrics"]["facets"][facet]
    return {metric["name"]: metric for metric in groups[0]["metrics"]}


def test_all_pre_training_metrics_of_the_guides_data(job: Job) -> None:
    of_csv = analyse(job, GUIDE, data_csv=csv_text())
    results = metrics(of_csv, "pre")
    assert list(results) == PRE
    assert results["CI"]["value"] == pytest.approx((1 - 3) / 4)  # three rows have Gender 0
    assert results["DPL"]["value"] == pytest.approx(1 - 1 / 3)
    assert results["CDDL"]["value"] is None
    assert "group variable" in results["CDDL"]["error"]


def test_all_metrics_once_the_predictions_are_there(job: Job) -> None:
    """The guide's predictor answers a label and its probability; here a column has them."""
    labelled_rows = [(*row, label) for row, label in zip(ROWS, [0, 1, 1, 0], strict=True)]
    config = GUIDE | {"methods": BOTH, "predicted_label": "predicted"}
    of_csv = analyse(job, config, data_csv=csv_text(labelled_rows, (*NAMES, "predicted")))
    assert list(metrics(of_csv, "pre")) == PRE
    results = metrics(of_csv, "post")
    assert [name for name in results if name in POST] == POST
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
    analysis = analyse(job, config, data_csv=csv_text(rows, ("pet", "likes")))
    stage = analysis["pre_training_bias_metrics"]
    assert stage["label_value_or_threshold"] == "cat,dog"
    assert stage["facets"]["likes"][0]["value_or_threshold"] == "bird,cat"
    assert metrics(analysis, "pre", "likes")["DPL"]["value"] == 0
