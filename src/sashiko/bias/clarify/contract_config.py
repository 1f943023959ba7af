"""Clarify's `analysis_config.json`, derived from the contract.

Both this project's bias module and Clarify's image read it, so it has only Clarify's keys
(`sagemaker.core.clarify.ANALYSIS_CONFIG_SCHEMA_V1_0`; a test validates it).
"""

from typing import Any, Literal

from sashiko.contract.model import Contract

LABEL = "label"
PREDICTED_LABEL = "predicted_label"
GROUP_VARIABLE = "group_variable"
PRE_TRAINING = ("CI", "DPL", "KL", "JS", "LP", "TVD", "KS", "CDDL")
# Without FT: texts have no numeric features for a nearest-neighbour search.
POST_TRAINING = (
    "DPPL", "DI", "DCA", "DCR", "RD", "SD", "DAR", "DRR", "AD", "CDDPL", "TE", "GE",
)  # fmt: skip


def analysis_config(contract: Contract, *, kind: Literal["pre", "post"]) -> dict[str, Any]:
    """Returns the configuration of one of the two bias steps.

    Args:
        contract: the data contract.
        kind: `pre` judges the labels of the facet snapshot, a Parquet file of the contract's
            `facets` view; `post` judges the predictions in BiasInput's CSV, whose columns are
            `label`, `predicted_label` (both 0 or 1), the facets and the group variable, if any.

    Returns:
        Clarify's keys as plain JSON values. Each facet's `value_or_threshold` is the disadvantaged
        group, which is compared with all other rows.
    """
    facets = [facet.column for facet in contract.facets]
    group = [] if contract.group_variable is None else [contract.group_variable]
    common: dict[str, Any] = {
        "version": "1.0",
        "facet": [
            {"name_or_index": facet.column, "value_or_threshold": list(facet.disadvantaged)}
            for facet in contract.facets
        ],
    }
    if group:
        common["group_variable"] = GROUP_VARIABLE if kind == "post" else group[0]
    if kind == "post":
        return common | {
            "dataset_type": "text/csv",
            "headers": [LABEL, PREDICTED_LABEL, *facets, *([GROUP_VARIABLE] if group else [])],
            "label": LABEL,
            "label_values_or_threshold": [1],
            "predicted_label": PREDICTED_LABEL,
            "methods": {
                "post_training_bias": {"methods": list(POST_TRAINING)},
                "report": {"name": "report", "title": "Bias of the predictions"},
            },
        }
    required = {contract.label.column, *facets, *group}
    excluded = [c.name for c in contract.view_columns("facets") if c.name not in required]
    return common | {
        "dataset_type": "application/x-parquet",
        "label": contract.label.column,
        "label_values_or_threshold": [contract.label.positive],
        "excluded_columns": excluded,
        "methods": {
            "pre_training_bias": {"methods": list(PRE_TRAINING)},
            "report": {"name": "report", "title": "Bias of the labels"},
        },
    }
