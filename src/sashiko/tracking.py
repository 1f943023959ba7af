"""What a pipeline run leaves in MLflow: one run per execution, the same figures as its files."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sashiko.errors import InputError
from sashiko.registry import experiment_id, mlflow_client, no_room
from sashiko.training.checkpoint import MetricLine

_EXECUTION_TAG = "execution_id"
_BATCH = 900  # MLflow takes at most 1,000 metrics in one call


def track_execution(
    tracking_uri: str,
    *,
    experiment: str,
    execution_id: str,
    tags: Mapping[str, str],
    metrics: Mapping[str, float],
    curve: Sequence[MetricLine],
) -> str | None:
    """Logs one execution; the same execution is logged once, however often it is resumed.

    Args:
        tracking_uri: where MLflow is.
        experiment: the experiment's name; made if missing.
        execution_id: the pipeline execution; the run's name.
        tags: what the run is found by.
        metrics: name -> final value.
        curve: the learning curve.

    Returns:
        The MLflow run's id, or None if MLflow cannot be reached: the figures stay in the step's
        files, and the pipeline goes on.

    Raises:
        InputError: if MLflow's database has no room left.
    """
    try:
        client = mlflow_client(tracking_uri)
        experiment = experiment_id(client, experiment, tracking_uri=tracking_uri)
    except InputError as error:
        print(f"not tracked: {error}", file=sys.stderr)
        return None
    with no_room(tracking_uri):
        # A run that was killed while it was logged is not FINISHED, and is logged anew.
        known = client.search_runs(
            [experiment],
            f"tags.{_EXECUTION_TAG} = '{execution_id}' and attributes.status = 'FINISHED'",
        )
        if known:
            return str(known[0].info.run_id)
        run = client.create_run(
            experiment, run_name=execution_id, tags={**tags, _EXECUTION_TAG: execution_id}
        )
        points = list(_points(metrics, curve))
        for start in range(0, len(points), _BATCH):
            client.log_batch(run.info.run_id, metrics=points[start : start + _BATCH])
        client.set_terminated(run.info.run_id)
        return str(run.info.run_id)


def _points(metrics: Mapping[str, float], curve: Sequence[MetricLine]) -> Iterator[Any]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    for key, value in metrics.items():
        yield Metric(key, value, now, 0)
    for line in curve:
        for key, value in line.model_dump(exclude={"step"}).items():
            if value is not None:
                yield Metric(f"train.{key}", float(value), now, line.step)
