"""The monitoring pipeline: a window of a deployed model's captured requests, judged.

SageMaker runs the definition that this module builds; `sashiko monitor` interprets the same
definition.
"""

from sagemaker.mlops.workflow import Pipeline

from sashiko.pipeline.sdk.jobs import Jobs
from sashiko_packs.monitoring.places import monitor_pipeline_name
from sashiko_packs.monitoring.sdk import Monitoring, monitor_parameters


def build_pipeline(jobs: Jobs) -> Pipeline:
    """Builds the monitoring pipeline of one environment and one recipe, without a call to AWS.

    Args:
        jobs: creates the steps, and collects the channels that have to be staged for them.

    Returns:
        The pipeline. With `bias.judged: false` in the recipe, no step reads a facet.

    Raises:
        InputError: if the contract is not valid.
    """
    params = monitor_parameters(jobs.settings)
    monitoring = Monitoring(jobs=jobs, parameters=params)
    judges_bias = jobs.recipe.bias.judged

    capture = monitoring.read_capture()
    input_quality = monitoring.input_quality(capture)
    drift = monitoring.drift(capture)
    labels = monitoring.join_labels(capture)
    bias = monitoring.bias(labels) if judges_bias else None
    judgement = monitoring.judge(
        capture=capture, input_quality=input_quality, drift=drift, labels=labels, bias=bias
    )

    return jobs.pipeline(
        name=monitor_pipeline_name(jobs.settings, jobs.recipe.name),
        parameters=params.all(judges_bias=judges_bias),
        ends=[judgement],
    )
