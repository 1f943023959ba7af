"""Whether the bias step measures what Clarify's open-source library does, on drawn rows.

    make test-clarify

Two and four labels, and a number with a threshold, each with a group variable. The library reads
the same CSV in an environment of its own, as it takes no pandas 3. Exit status 1 if a metric
differs that docs/decisions/0003-bias-metrics.md does not name.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

_PYTHON = ".venv-clarify/bin/python"
# Of the whole distribution of the labels here, of the positive ones against the others there.
_DISTANCES = frozenset({"KL", "JS", "LP", "TVD", "KS"})
# The labels, those that are positive, and the metrics that may differ.
_CASES: dict[str, tuple[list[Any], list[Any], frozenset[str]]] = {
    "two labels": (["no", "yes"], ["yes"], frozenset()),
    "four labels": (["bank", "card", "loan", "other"], ["card", "loan"], _DISTANCES),
    "a number": ([], [0.0], frozenset()),
}


def main() -> int:
    """Prints a Markdown table on stdout: the largest difference of each metric in each case."""
    rows: dict[str, list[str]] = {}
    surprises = []
    with tempfile.TemporaryDirectory() as name:
        for case, (labels, positive, differing) in _CASES.items():
            folder = Path(name) / case
            folder.mkdir()
            _draw(labels).to_csv(folder / "rows.csv", index=False)
            ours = _step(folder, positive)
            command = [_PYTHON, __file__, str(folder), json.dumps(positive)]
            library = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            for metric, values in json.loads(library.stdout).items():
                difference = max(abs(value - ours[metric][of]) for of, value in values.items())
                rows.setdefault(metric, []).append(f"{difference:.1g}")
                if (difference > 1e-12) != (metric in differing):
                    surprises.append(f"{metric} of {case}")
    print("| metric |", " | ".join(_CASES), "|\n|---|" + "---|" * len(_CASES))
    for metric, differences in rows.items():
        print(f"| {metric} |", " | ".join(differences), "|")
    if surprises:
        print("error: not as decision 3 says:", ", ".join(surprises), file=sys.stderr)
    return bool(surprises)


def _draw(labels: list[Any]) -> pd.DataFrame:
    """Draws labels and predictions that depend on the group, a column each."""
    random = np.random.default_rng(7)
    group, stratum = random.integers(0, 3, 5_000), random.integers(0, 4, 5_000)
    value = random.normal(group - 0.5, 2)
    predicted = value + random.normal(0.3 * group, 1)
    columns = {"label": value, "predicted": predicted}
    if labels:
        edges = np.quantile(value, np.arange(1, len(labels)) / len(labels))
        columns = {
            name: np.array(labels)[np.digitize(column, edges)] for name, column in columns.items()
        }
    frame = {"group": [f"g{code}" for code in group], "stratum": [f"s{code}" for code in stratum]}
    return pd.DataFrame(frame | columns)


def _step(folder: Path, positive: list[Any]) -> dict[str, dict[str, float]]:
    """Returns the value of each metric of each group, as the pipeline's bias step has them."""
    from sashiko.bias.clarify.analysis import AnalysisConfig
    from sashiko.bias.clarify.counting import count_groups, read_dataset
    from sashiko.bias.steps.clarify_bias import analyse

    config = AnalysisConfig.model_validate(
        {
            "dataset_type": "text/csv",
            "label": "label",
            "label_values_or_threshold": positive,
            "predicted_label": "predicted",
            "facet": [{"name_or_index": "group"}],
            "group_variable": "stratum",
            "methods": {f"{stage}_training_bias": {"methods": "all"} for stage in ("pre", "post")},
        }
    )
    analysis = analyse(config, count_groups(config, read_dataset(config, folder)))
    values: dict[str, dict[str, float]] = {}
    for stage in (analysis.pre_training_bias_metrics, analysis.post_training_bias_metrics):
        for group in stage.facets["group"]:
            for metric in group.metrics:
                values.setdefault(metric.name, {})[group.value_or_threshold] = metric.value
    return values


def _library(folder: Path, positive: list[Any]) -> dict[str, dict[str, float]]:
    """Returns what the library has on the same rows; runs in its environment."""
    from smclarify.bias import report

    rows = pd.read_csv(folder / "rows.csv")
    values: dict[str, dict[str, float]] = {}
    for stage in report.StageType:
        methods = "PRETRAINING" if stage is report.StageType.PRE_TRAINING else "POSTTRAINING"
        names = [m.__name__ for m in getattr(report.smclarify.bias.metrics, f"{methods}_METRICS")]
        facets = report.bias_report(
            rows,
            report.FacetColumn("group"),
            report.LabelColumn("label", rows["label"], positive),
            stage,
            report.LabelColumn("predicted", rows["predicted"], positive),
            [name for name in names if name != "FT"],
            rows["stratum"],
        )
        for group in facets:
            for metric in group["metrics"]:
                values.setdefault(metric["name"], {})[group["value_or_threshold"]] = metric["value"]
    return values


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(main())
    print(json.dumps(_library(Path(sys.argv[1]), json.loads(sys.argv[2]))))
