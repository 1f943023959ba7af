"""Glue Data Quality: the only part of the job that requires Glue."""

from dataclasses import dataclass

from pyspark.sql import DataFrame

from sashiko.contract.glue_job.spec import LoadError


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The result of a rule: its text, whether it passed, and the failure reason."""

    rule: str
    passed: bool
    reason: str


def evaluate(rows: DataFrame, ruleset: str) -> tuple[Outcome, ...]:
    """Evaluates a DQDL ruleset on rows that are not published yet.

    It is done in the job and not by `StartDataQualityRulesetEvaluationRun`, which judges a table
    after it was written, and finds no partition of a table whose partitions are projected.

    Raises:
        LoadError: if this is not Glue: rows that were not judged must not be published.
    """
    try:
        from awsglue.context import GlueContext
        from awsglue.dynamicframe import DynamicFrame
        from awsgluedq.transforms import EvaluateDataQuality
    except ImportError as error:
        raise LoadError(f"only Glue can judge the rows by the ruleset: {error}") from error

    context = GlueContext(rows.sparkSession.sparkContext)
    results = EvaluateDataQuality.apply(
        frame=DynamicFrame.fromDF(rows, context, "clean"),
        ruleset=ruleset,
        publishing_options={
            "dataQualityEvaluationContext": "clean",
            "enableDataQualityCloudWatchMetrics": False,
            "enableDataQualityResultsPublishing": False,
        },
    )
    return tuple(
        Outcome(rule=row.Rule, passed=row.Outcome == "Passed", reason=row.FailureReason or "")
        for row in results.toDF().select("Rule", "Outcome", "FailureReason").collect()
    )
