"""The batch pipeline: rows of a governed table through a version that passes the preflight.

SageMaker runs the definition that this module builds; `sashiko batch run` interprets the same one.
"""

from sagemaker.mlops.workflow import Pipeline

from sashiko.pipeline.sdk.jobs import Jobs
from sashiko_packs.batch.sdk import BatchScoring, batch_parameters


def build_pipeline(jobs: Jobs) -> Pipeline:
    """Builds the batch pipeline of one environment and one recipe, without a call to AWS.

    Args:
        jobs: creates the steps, and collects the channels that have to be staged for them.

    Returns:
        The pipeline.

    Raises:
        InputError: if the contract is not valid, or a run may cost more than `batch.max_usd`.
    """
    batch = BatchScoring(jobs=jobs, parameters=batch_parameters(jobs.settings))

    preflight = batch.preflight()
    rows = batch.rows(preflight)
    score = batch.score(preflight, rows)
    captures = batch.capture(preflight, rows, score)
    publication = batch.publish(preflight, rows, score, after=captures)

    return batch.pipeline(ends=[publication])
