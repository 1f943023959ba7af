"""Clarify's `analysis_config.json` and the intersections of facets, derived from the contract.

Both this project's bias module and Clarify's image read it, so it has only Clarify's keys
(`sagemaker.core.clarify.ANALYSIS_CONFIG_SCHEMA_V1_0`; a test validates it).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Any, Literal

from sashiko.contract.model import Contract

LABEL = "label"
PREDICTED_LABEL = "predicted_label"
GROUP_VARIABLE = "group_variable"
# Of a label that is a number, further columns of BiasInput's CSV: the observed and the predicted
# value in the label's unit, and whether the interval holds the observed one, 1 or 0.
NUMBER_COLUMNS = ("label_value", "predicted_value", "covered")
PRE_TRAINING = ("CI", "DPL", "KL", "JS", "LP", "TVD", "KS", "CDDL")
# Without FT: texts have no numeric features for a nearest-neighbour search.
POST_TRAINING = (
    "DPPL", "DI", "DCA", "DCR", "RD", "SD", "DAR", "DRR", "AD", "CDDPL", "TE", "GE",
)  # fmt: skip
# Each combination is one of the simultaneous comparisons; far more would take minutes and make the
# intervals useless.
MOST_COMBINATIONS = 300


@dataclass(frozen=True)
class FacetGroup:
    """A group of a facet, for intersections."""

    name: str  # its values, joined by commas
    values: tuple[str, ...]  # in the facet's column
    disadvantaged: bool  # whether it is the disadvantaged group


def facet_groups(contract: Contract, facet: str) -> tuple[FacetGroup, ...]:
    """Returns a facet's groups: the disadvantaged one as a whole, then each other value.

    Each row is in exactly one group. Values that the contract combines stay combined, since each
    alone has too few rows.
    """
    disadvantaged = next(item.disadvantaged for item in contract.facets if item.column == facet)
    values = [str(value) for value in contract.column(facet).allowed_values]
    others = (FacetGroup(value, (value,), False) for value in values if value not in disadvantaged)
    return (FacetGroup(",".join(disadvantaged), disadvantaged, True), *others)


def intersections(
    contract: Contract, *, depth: int, gated: Iterable[tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    """Returns the intersections: all sets of up to `depth` facets, and those of the gates.

    Returns:
        Sets of two or more facets, each in the contract's order, the smaller ones first.
    """
    columns = [facet.column for facet in contract.facets]
    gated_sets = {frozenset(facets) for facets in gated}
    return tuple(
        facets
        for size in range(2, len(columns) + 1)
        for facets in combinations(columns, size)
        if size <= depth or frozenset(facets) in gated_sets
    )


def combination_count(contract: Contract, facet_sets: Iterable[tuple[str, ...]]) -> int:
    """Counts the combinations of groups in intersections of facets."""
    return sum(
        prod(len(facet_groups(contract, facet)) for facet in facets) for facets in facet_sets
    )


def outcome_values(contract: Contract) -> tuple[int, ...] | tuple[str, ...]:
    """Returns how BiasInput's CSV writes each class, in the order of the contract's classes.

    Two classes are 0 and 1. More are written by name: Clarify takes whole numbers for a quantity
    where the distinct ones are 5 % of the rows or more (aws/amazon-sagemaker-clarify, common.py).
    """
    return contract.classes if len(contract.classes) > 2 else (0, 1)


def analysis_config(contract: Contract, *, kind: Literal["pre", "post"]) -> dict[str, Any]:
    """Returns the configuration of one of the two bias steps.

    Args:
        contract: the data contract.
        kind: `pre` judges the labels of the facet snapshot, a Parquet file of the contract's
            `facets` view; `post` judges the predictions in BiasInput's CSV, whose columns are
            `label`, `predicted_label` (as `outcome_values` writes them), those of `NUMBER_COLUMNS`
            for a number, the facets and the group variable, if any.

    Returns:
        Clarify's keys as plain JSON values. Each facet's `value_or_threshold` is the disadvantaged
        group, which is compared with all other rows.
    """
    facets, group = [facet.column for facet in contract.facets], contract.group_variable
    common: dict[str, Any] = {
        "version": "1.0",
        "facet": [
            {"name_or_index": facet.column, "value_or_threshold": list(facet.disadvantaged)}
            for facet in contract.facets
        ],
    }
    if group:
        common["group_variable"] = GROUP_VARIABLE if kind == "post" else group
    if kind == "post":
        favourable = list(outcome_values(contract)[contract.first_favourable :])
        numbers = NUMBER_COLUMNS if contract.is_number else ()
        groups = [*facets, *([GROUP_VARIABLE] if group else [])]
        return common | {
            "dataset_type": "text/csv",
            "headers": [LABEL, PREDICTED_LABEL, *numbers, *groups],
            **({"excluded_columns": list(numbers)} if numbers else {}),
            "label": LABEL,
            "label_values_or_threshold": favourable,
            "predicted_label": PREDICTED_LABEL,
            "methods": {
                "post_training_bias": {"methods": list(POST_TRAINING)},
                "report": {"name": "report", "title": "Bias of the predictions"},
            },
        }
    required = {contract.label.column, *facets, group}
    excluded = [c.name for c in contract.view_columns("facets") if c.name not in required]
    return common | {
        "dataset_type": "application/x-parquet",
        "label": contract.label.column,
        "label_values_or_threshold": list(contract.classes[contract.first_favourable :])
        if contract.label.above is None
        else [contract.label.above],
        "excluded_columns": excluded,
        "methods": {
            "pre_training_bias": {"methods": list(PRE_TRAINING)},
            "report": {"name": "report", "title": "Bias of the labels"},
        },
    }
