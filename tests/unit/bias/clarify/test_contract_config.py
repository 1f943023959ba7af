import json
import subprocess
import sys
from pathlib import Path

from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.metrics.clarify_metrics import stage_metrics
from sashiko.contract.load import load_contract
from tests.unit.contract.documents import contract_of, document, grouped

CONTRACTS = sorted((Path(__file__).parents[4] / "contracts").glob("*.odcs.yaml"))

# Clarify's schema is in the SDK, whose import takes seconds and needs a region.
_VALIDATE = """
import json, re, sys
from sagemaker.core.clarify import ANALYSIS_CONFIG_SCHEMA_V1_0, SageMakerClarifyProcessor
for config in json.load(sys.stdin):
    ANALYSIS_CONFIG_SCHEMA_V1_0.validate(config)
for stage in ("pre_training", "post_training"):
    text = getattr(SageMakerClarifyProcessor, f"run_{stage}_bias").__doc__
    print(stage, *re.findall(r'"`([A-Z]+) <https', text.replace('\\n', ' ')))
"""


def test_labels_are_judged_by_the_facets_of_the_contract_and_nothing_else(tmp_path: Path) -> None:
    config = analysis_config(contract_of(document(), tmp_path), kind="pre")
    assert config["label"] == "late"
    assert config["label_values_or_threshold"] == ["yes"]
    assert config["facet"] == [{"name_or_index": "age", "value_or_threshold": ["old"]}]
    assert config["excluded_columns"] == ["loan_id"]
    methods = config["methods"]["pre_training_bias"]["methods"]
    assert sorted(methods) == list(stage_metrics("pre_training"))


def test_predictions_are_judged_from_the_columns_that_bias_input_writes(tmp_path: Path) -> None:
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


def test_clarify_takes_the_configurations_and_names_the_metrics_as_we_do() -> None:
    configs = [
        analysis_config(load_contract(path), kind=kind)
        for path in CONTRACTS
        for kind in ("pre", "post")
    ]
    environment = {"AWS_DEFAULT_REGION": "eu-west-1", "AWS_EC2_METADATA_DISABLED": "true"}
    outcome = subprocess.run(
        [sys.executable, "-c", _VALIDATE],
        input=json.dumps(configs),
        text=True,
        capture_output=True,
        env=environment,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr
    by_stage = dict(line.split(maxsplit=1) for line in outcome.stdout.splitlines())
    for stage, least in (("pre_training", 6), ("post_training", 10)):
        metrics = by_stage[stage].split()
        assert len(metrics) >= least
        assert set(metrics) <= {*stage_metrics(stage), "FT"}
