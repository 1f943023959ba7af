"""The Clarify steps: what their configuration may hold, how the data are read, what comes out."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from sashiko.base.files import write_json
from sashiko.bias.clarify.analysis import AnalysisConfig, FacetConfig, read_config
from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.clarify.counting import Dataset, count_groups, read_dataset, rows_with
from sashiko.bias.metrics.bias_table import stage_metrics
from sashiko.bias.steps import clarify_bias
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from tests.unit.bias.steps.bias_folders import Job
from tests.unit.contract.documents import contract_of, document, grouped

# The data of the guide's examples: "Analysis Configuration Files",
# https://docs.aws.amazon.com/sagemaker/latest/dg/clarify-processing-job-configure-analysis.html
ROWS = ((0, 25, 0, 2850, 2), (1, 36, 0, 6585, 0), (1, 22, 1, 1759, 1), (0, 48, 0, 3446, 1))
NAMES = ("Target", "Age", "Gender", "Income", "Occupation")
GUIDE: dict[str, Any] = {
    "dataset_type": "text/csv",
    "label": "Target",
    "label_values_or_threshold": [1],
    "facet": [{"name_or_index": "Gender", "value_or_threshold": [0]}],
    "methods": {"pre_training_bias": {"methods": "all"}},
}
BOTH = {"pre_training_bias": {"methods": "all"}, "post_training_bias": {"methods": "all"}}


def csv_text(rows=ROWS, header=NAMES) -> str:
    return "".join(",".join(str(cell) for cell in line) + "\n" for line in (header, *rows))


def folder_of(root: Path, **files: str | bytes) -> Path:
    """Writes files named like `a_csv` as `a.csv`."""
    for name, content in files.items():
        path = root / ".".join(name.rsplit("_", 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def read(config: dict[str, Any], folder: Path) -> Dataset:
    return read_dataset(AnalysisConfig.model_validate(config), folder)


def texts(data: Dataset) -> dict[str, list[str | None]]:
    """Returns the columns, each row as often as it occurs; equal rows stand together."""
    columns = [data.label, data.predicted, *data.facets, data.group]
    counts = data.counts if data.counts is not None else np.ones(data.rows, dtype=int)
    return {
        column.name: np.repeat(np.array(column.values.to_pylist(), object), counts).tolist()
        for column in columns
        if column
    }


ENDPOINT = {"endpoint_name": "your_endpoint", "label": 0}
SHAP = {"num_clusters": 1}
AGE_40 = {"name_or_index": "Age", "value_or_threshold": ["40"]}
PARQUET = GUIDE | {"dataset_type": "application/x-parquet"}
PREDICTED = GUIDE | {"predicted_label": "Told", "methods": BOTH}
SUPPORTED: dict[str, dict[str, Any]] = {
    "the guide's pre-training analysis of a CSV": GUIDE,
    "version": GUIDE | {"version": "1.0"},
    "Parquet": PARQUET,
    "headers": GUIDE | {"headers": ["Target", "Age", "Gender", "Income", "Occupation"]},
    "a label's threshold": GUIDE | {"label_values_or_threshold": [0.0]},
    "several labels": GUIDE | {"label_values_or_threshold": ["cat", "dog"]},
    "facets, one without values": GUIDE
    | {"facet": [{"name_or_index": "Gender"}, AGE_40]},
    "predicted_label": PREDICTED,
    "group_variable": GUIDE | {"group_variable": "Occupation"},
    "excluded_columns": GUIDE | {"excluded_columns": ["Gender", "Age"]},
    "named metrics": PREDICTED
    | {
        "methods": {
            "pre_training_bias": {"methods": ["CI", "DPL"]},
            "post_training_bias": {"methods": ["DPPL", "DI"]},
        }
    },
    "report": GUIDE | {"methods": BOTH | {"report": {"name": "report", "title": "Report"}}}
    | {"predicted_label": "Told"},
}  # fmt: skip
CONTRACTS = sorted((Path(__file__).parents[4] / "contracts").glob("*.odcs.yaml"))

# Clarify's schema is in the SDK, whose import takes seconds and needs a region.
_SDK = """
import json, re, sys
from sagemaker.core.clarify import (
    ANALYSIS_CONFIG_SCHEMA_V1_0, BiasConfig, DataConfig, SageMakerClarifyProcessor)
for config in json.load(sys.stdin):
    ANALYSIS_CONFIG_SCHEMA_V1_0.validate(config)
data = DataConfig(
    s3_data_input_path="s3://b/data.csv", s3_output_path="s3://b/out", dataset_type="text/csv",
    label="Target", headers=["Target", "Gender", "Age", "Region", "Told"],
    predicted_label="Told", excluded_columns=["Region"],
)
bias = BiasConfig(
    label_values_or_threshold=[1], facet_name=["Gender", "Age"],
    facet_values_or_threshold=[["F"], [1]], group_name="Region",
)
methods = {"post_training_bias": {"methods": "all"}, "report": {"name": "r", "title": "t"}}
print(json.dumps({**data.get_config(), **bias.get_config(), "methods": methods}))
for stage in ("pre_training", "post_training"):
    text = getattr(SageMakerClarifyProcessor, f"run_{stage}_bias").__doc__
    print(stage, *re.findall(r'"`([A-Z]+) <https', text.replace('\\n', ' ')))
"""


@pytest.mark.parametrize("config", SUPPORTED.values(), ids=SUPPORTED)
def test_every_supported_key_is_taken(config: dict[str, Any]) -> None:
    AnalysisConfig.model_validate(config)


def test_clarifys_own_schema_takes_them_too_and_we_take_what_the_sdk_writes() -> None:
    """The contracts' configurations too; and the SDK names the metrics as we do."""
    kinds = ("pre", "post")
    ours = [analysis_config(load_contract(path), kind=kind) for path in CONTRACTS for kind in kinds]
    outcome = subprocess.run(
        [sys.executable, "-c", _SDK],
        input=json.dumps([*SUPPORTED.values(), *ours]),
        text=True,
        capture_output=True,
        env={"AWS_DEFAULT_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true"},
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    written, *stages = outcome.stdout.splitlines()
    config = AnalysisConfig.model_validate_json(written)
    assert [facet.value_or_threshold for facet in config.facet] == [("F",), (1,)]
    assert config.group_variable == "Region"
    by_stage = dict(line.split(maxsplit=1) for line in stages)
    for stage, least in (("pre_training", 6), ("post_training", 10)):
        metrics = by_stage[stage].split()
        assert len(metrics) >= least
        assert set(metrics) <= {*stage_metrics(stage), "FT"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        # The guide's examples beyond bias, and those that ask a model.
        (GUIDE | {"predictor": ENDPOINT}, "unknown key `predictor`"),
        (GUIDE | {"methods": {"shap": SHAP}}, "unknown key `methods.shap`; allowed: post_train"),
        # Other data sets than the one of the job.
        (GUIDE | {"dataset_type": "application/x-image"}, "`dataset_type`.*x-parquet"),
        (GUIDE | {"version": "2.0"}, "`version`.*1.0"),
        (GUIDE | {"facet": [{"name_or_index": "Age", "threshold": 3}]}, "unknown key `facet.0.thr"),
        # Keys that mean nothing where they stand.
        (GUIDE | {"methods": BOTH}, "methods.post_training_bias needs predictions; name"),
        # Values of another kind.
        (GUIDE | {"facet": []}, "`facet`"),
        (GUIDE | {"facet": [{}]}, "key `facet.0.name_or_index` is missing"),
        (GUIDE | {"facet": [{"name_or_index": "Age"}] * 2}, "must be different .* Age, Age"),
        (GUIDE | {"group_variable": "Target"}, "must be different columns, but they are Target, T"),
        (GUIDE | {"label": 0}, "`label`: expected a column's name; an index is not supported"),
        (GUIDE | {"label_values_or_threshold": []}, "`label_values_or_threshold`"),
        (GUIDE | {"label_values_or_threshold": [0.5, "a"]}, "give one threshold, or values"),
        *(
            (
                GUIDE | {"label_values_or_threshold": [value]},
                "threshold.0`: expected a text, 0 or 1",
            )
            for value in (2, float("nan"), None, True)
        ),
        (
            GUIDE | {"facet": [{"name_or_index": "Age", "value_or_threshold": [40]}]},
            "`facet.0.value_or_threshold.0`: .* threshold or range is not supported",
        ),
        (GUIDE | {"methods": {"report": {"name": "r"}}}, "name `pre_training_bias`, `post_train"),
        (GUIDE | {"methods": {"pre_training_bias": {"methods": []}}}, "names no metric"),
        (
            PREDICTED | {"methods": {"post_training_bias": {"methods": ["DI", "FT"]}}},
            "`FT` is not supported; supported: all, AD",
        ),
        (GUIDE | {"methods": {"pre_training_bias": {"methods": ["DI"]}}}, "`DI` is not supported;"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(tmp_path: Path, config, message: str) -> None:
    (tmp_path / "analysis_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=rf"analysis_config\.json: .*{message}") as caught:
        read_config(tmp_path)
    assert len(re.findall(r"\n", str(caught.value))) == 0


def test_a_configuration_that_is_no_json_or_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"analysis_config\.json does not exist"):
        read_config(tmp_path)
    (tmp_path / "analysis_config.json").write_text("{")
    with pytest.raises(InputError, match=r"analysis_config\.json is not readable JSON"):
        read_config(tmp_path)
    write_json(tmp_path / "analysis_config.json", [])
    with pytest.raises(InputError, match=r"analysis_config\.json: "):
        read_config(tmp_path)


def test_labels_and_predictions_are_judged_by_the_facets_of_the_contract_alone(
    tmp_path: Path,
) -> None:
    config = analysis_config(contract_of(document(), tmp_path), kind="pre")
    assert config["label"] == "late"
    assert config["label_values_or_threshold"] == ["yes"]
    assert config["facet"] == [{"name_or_index": "age", "value_or_threshold": ["old"]}]
    assert config["excluded_columns"] == ["loan_id"]
    methods = config["methods"]["pre_training_bias"]["methods"]
    assert sorted(methods) == list(stage_metrics("pre_training"))

    config = analysis_config(contract_of(document(), tmp_path), kind="post")
    assert config["headers"] == ["label", "predicted_label", "age"]
    assert config["label_values_or_threshold"] == [1]
    methods = config["methods"]["post_training_bias"]["methods"]
    assert sorted(methods) == list(stage_metrics("post_training"))


def test_a_group_variable_is_read_with_the_facets_and_named_to_clarify(tmp_path: Path) -> None:
    contract = contract_of(grouped(), tmp_path)
    shown = [column.name for column in contract.view_columns("facets")]
    assert shown == ["loan_id", "age", "late", "branch"]
    pre, post = (analysis_config(contract, kind=kind) for kind in ("pre", "post"))
    assert pre["group_variable"] == "branch"
    assert pre["excluded_columns"] == ["loan_id"]
    assert post["headers"] == ["label", "predicted_label", "age", "group_variable"]
    assert post["group_variable"] == "group_variable"


EXPECTED = {"Target": ["0", "0", "1", "1"], "Gender": ["0", "0", "0", "1"]}


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(csv_text(), id="as it is"),
        pytest.param(csv_text().replace("\n", "\r\n"), id="line ends of Windows"),
        pytest.param(csv_text().replace("Target", '"Target"'), id="quoted"),
        pytest.param(csv_text().rstrip("\n"), id="no last line end"),
    ],
)
def test_a_csv_is_read_by_name(tmp_path: Path, text: str) -> None:
    folder = folder_of(tmp_path / "data", a_csv=text)
    assert texts(read(GUIDE, folder)) == EXPECTED


def test_a_first_row_of_texts_is_a_header_but_never_in_silence(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "data", a_csv="yes,old\nno,young\nyes,young\n")
    config = GUIDE | {"label": "yes", "facet": [{"name_or_index": "old"}]}
    with pytest.raises(InputError, match=r"a\.csv: column `yes` also has the value yes: the f"):
        read(config, folder)


def test_unicode_in_names_and_values_is_kept(tmp_path: Path) -> None:
    text = "étiquette,gënre\noui,femme ♀\nnon,Übrige\n"
    folder = folder_of(tmp_path / "data", a_csv="\ufeff" + text)
    config = GUIDE | {"label": "étiquette", "facet": [{"name_or_index": "gënre"}]}
    assert texts(read(config, folder)) == {
        "étiquette": ["oui", "non"], "gënre": ["femme ♀", "Übrige"]
    }  # fmt: skip


def test_parquet_of_any_type_that_has_values(tmp_path: Path) -> None:
    table = pa.table(
        {
            "Target": pa.array([0.0, 1.0, 1.0, 0.0]),
            "Age": pa.array([25, 36, 22, 48], pa.int8()),
            "Gender": pa.array(["0", "0", "1", "0"]).dictionary_encode(),
            "many": [[1], [2], [3], [4]],
        }
    )
    (tmp_path / "data").mkdir()
    pq.write_table(table, tmp_path / "data/a.parquet")
    config = GUIDE | {"dataset_type": "application/x-parquet"}
    assert texts(read(config, tmp_path / "data")) == EXPECTED
    with pytest.raises(InputError, match="column `many` is of type list"):
        read(config | {"facet": [{"name_or_index": "many"}]}, tmp_path / "data")
    with pytest.raises(InputError, match="columns Target, Age, Gender, many, but `headers`"):
        read(config | {"headers": NAMES}, tmp_path / "data")


def test_files_are_read_in_order_and_must_agree(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "data", b_csv=csv_text(ROWS[2:]), a_csv=csv_text(ROWS[:2]))
    assert texts(read(GUIDE, folder)) == EXPECTED
    folder_of(folder, c_csv="Gender,Age,Target,Income,Occupation\n0,1,1,1,1\n")
    assert texts(read(GUIDE, folder))["Target"] == [*EXPECTED["Target"], "1"]
    folder_of(folder, d_csv="Target,Age\n0,1\n")
    with pytest.raises(InputError, match=r"d\.csv lacks column `Gender`"):
        read(GUIDE, folder)


def test_a_column_that_is_not_there_is_named_with_its_key(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "data", a_csv=csv_text())
    for change, message in (
        ({"label": "Goal"}, r"a\.csv lacks column `Goal` .* \(`label`\); it has Target, Age"),
        ({"excluded_columns": ["Nothing"]}, r"lacks column `Nothing` .*\(`excluded_columns`\)"),
        ({"group_variable": "Region"}, r"lacks column `Region` .*\(`group_variable`\)"),
    ):
        with pytest.raises(InputError, match=message):
            read(GUIDE | change, folder)


def test_a_doubled_column_is_named_where_it_is_used(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "data", a_csv="Target,Gender,x,x\n1,0,2,3\n0,1,2,3\n")
    assert texts(read(GUIDE, folder))["Target"] == ["1", "0"]
    with pytest.raises(InputError, match="column `x` occurs more than once"):
        read(GUIDE | {"group_variable": "x"}, folder)


def test_what_the_model_does_not_see_is_still_analysed(tmp_path: Path) -> None:
    config = GUIDE | {"excluded_columns": ["Gender", "Income"], "group_variable": "Occupation"}
    data = read(config, folder_of(tmp_path / "data", a_csv=csv_text()))
    assert texts(data) == {
        "Target": ["0", "1", "1", "0"], "Gender": ["0", "0", "1", "0"],
        "Occupation": ["2", "0", "1", "1"],
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_file_of_many_pieces_counts_each_row_once(tmp_path: Path, kind: str) -> None:
    label, gender = ["1", "0", "1", "1"] * 20_000, ["0", "1", "1", "0"] * 20_000
    table = pa.table({"Target": label, "Gender": [*gender[:-1], None], "Note": ["x" * 90] * 80_000})
    (tmp_path / "data").mkdir()
    if kind == "csv":
        pa_csv.write_csv(table, tmp_path / "data/a.csv")
    else:
        pq.write_table(table, tmp_path / "data/a.parquet")
    types = {"csv": "text/csv", "parquet": "application/x-parquet"}
    config = AnalysisConfig.model_validate(GUIDE | {"dataset_type": types[kind]})
    counts = count_groups(config, read_dataset(config, tmp_path / "data")).facets["Gender"]["0"]
    assert (counts.n_disadvantaged, counts.n_advantaged, counts.missing) == (39_999, 40_000, 1)
    assert counts.cells[0, :, :, 0].tolist() == [[20_000, 20_000], [0, 39_999]]
    empty = config.model_copy(
        update={"label": "Gender", "facet": (FacetConfig(name_or_index="Target"),)}
    )
    with pytest.raises(InputError, match=r"column `Gender` .* has 1 empty values of 80000"):
        read_dataset(empty, tmp_path / "data")


CODES = ["0", "1", "2", "0"]


@pytest.mark.parametrize(
    ("texts", "values", "expected"),
    [
        pytest.param(["a", "b", "a"], ["a"], ["a", "a"], id="a text"),
        pytest.param(["a", "b", "c"], ["a", "c"], ["a", "c"], id="texts"),
        pytest.param(CODES, [1], ["1"], id="a code"),
        pytest.param(CODES, [0, "2"], ["0", "2", "0"], id="codes"),
        pytest.param(["0.0", "1.0"], [1], ["1.0"], id="a code as float"),
        pytest.param(["40", "40.0"], ["40"], ["40"], id="a number as text is a text"),
        pytest.param([None, "a"], ["a"], ["a"], id="null is no text"),
        pytest.param([None, None], [1], [], id="nothing but null"),
        pytest.param(["None", "1"], ["None"], ["None"], id="the text None"),
        pytest.param(["1", "x"], [1], ["1"], id="a number among texts"),
    ],
)
def test_which_rows_have_a_configured_value(texts, values, expected) -> None:
    column = pa.chunked_array([pa.array(texts, pa.string())])
    chosen = zip(texts, rows_with(column, values), strict=True)
    assert [text for text, is_chosen in chosen if is_chosen] == expected


HEADERS = ["label", "predicted_label", "age"]
# old: 4 rows, 1 predicted positive; young: 4 rows, 2 predicted positive
BY_AGE = "1,1,old\n1,0,old\n0,0,old\n0,0,old\n1,1,young\n1,1,young\n0,0,young\n0,0,young\n"
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
        headed = not text or text.startswith(("label,", "Target,"))
        job.text("data", text if headed else f"{','.join(HEADERS)}\n{text}")
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
    assert analyse(job, POST, BY_AGE) == {
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
        pytest.param(BY_AGE + "0,0,\n", "1 of 9 rows have no value of the facet", id="no value"),
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
        pytest.param("label,age,predicted_label\n1,old,1\n", "but `headers` differ", id="order"),
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
    text = "label,predicted_label,age\n1,1,alt\n0,0,ält\n"
    (job.folder("data") / "data.csv").write_bytes(text.encode("latin-1"))
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
    labels = "".join(f"{n % 2},{n % 2},{n}\n" for n in range(101))
    with pytest.raises(InputError, match="column `age` has 101 values, too many for a label's cl"):
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
    rows = [(*row, label) for row, label in zip(ROWS, [0, 1, 1, 0], strict=True)]
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
