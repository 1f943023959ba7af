"""The recipe's section `monitor`: when a window of a deployed model's requests raises an alarm."""

from typing import Literal

from pydantic import Field, field_validator

from sashiko.base.yaml_models import Frozen


class MonitorSection(Frozen):
    """Error rates and tolerances of the monitor's checks.

    An alarm needs both: a change that is not chance, and one that is larger than its tolerance.
    """

    false_alarms: float = Field(
        0.01,
        gt=0,
        le=0.2,
        description="largest probability that a window without any change raises an alarm, over "
        "all of its checks together",
    )
    input_tolerance: float = Field(
        0.01,
        gt=0,
        lt=1,
        description="for each rule of the contract: the share of rows that may break it, beyond "
        "what the contract allows",
    )
    column_tolerance: float = Field(
        0.1,
        gt=0,
        le=2,
        description="for columns and scores, as Cohen's w: 0.1 is a small change, 0.3 a medium one",
    )
    text_tolerance: float = Field(
        0.05,
        gt=0,
        lt=0.5,
        description="how far above 0.5 the AUC may be that tells new texts from those of the "
        "reference; new words in a tenth of the rows give 0.05",
    )
    accuracy_tolerance: float = Field(
        0.02,
        gt=0,
        lt=0.5,
        description="how far accuracy, recall, specificity and "
        "precision may fall below the reference",
    )
    accuracy_false_alarms: float = Field(
        0.05,
        gt=0,
        le=0.2,
        description="largest probability that the audit raises an alarm in a year while accuracy, "
        "recall, specificity and precision are within their tolerance",
    )
    label_days: int = Field(
        28,
        ge=1,
        le=365,
        description="days after the end of an audited period at which it is closed; until their "
        "labels come, its rows without one count as possibly decided wrong",
    )
    bias_tolerance: float = Field(
        0.1,
        gt=0,
        lt=1,
        description="for the disparate impact: by what share of the reference's it may change",
    )
    retrain: Literal["off", "propose"] = Field(
        "propose",
        description="what an alarm does: nothing, or propose a run of the pipeline",
    )
    retrain_labels: int = Field(
        500, ge=1, description="new labels of the version's answers that a proposal needs"
    )

    @field_validator("retrain", mode="before")
    @classmethod
    def _refuse_start(cls, value: object) -> object:
        if value == "start":
            raise ValueError(
                "`start` was removed: no alarm starts a run any more. Write `propose`, and run the "
                "command that `sashiko monitor` proposes"
            )
        return value
