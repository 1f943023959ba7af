"""Logs an execution as one MLflow run, with the metrics of its files."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from queue import Empty, Queue
from threading import Thread
from typing import Any

from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import MetricLine
from sashiko.registry.mlflow import SQLITE, experiment_id, mlflow_client, translate_full_disk

# Total limit, with MLflow's import: in an account, Track delays the gate after it.
SERVER_SECONDS = 30
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
    """Logs one execution; a resumed execution is not logged twice.

    A server gets `SERVER_SECONDS` in total, and its faults do not fail the pipeline.

    Returns:
        The MLflow run's id, or None if MLflow cannot be reached: the metrics stay in the step's
        files, and the pipeline continues.

    Raises:
        InputError: if MLflow's database has no room left.
    """

    def log() -> str | None:
        try:
            client = mlflow_client(tracking_uri)
            id_ = experiment_id(client, experiment, tracking_uri=tracking_uri)
        except InputError as error:
            _say_why_not(error)
            return None
        with translate_full_disk(tracking_uri):
            return _log(
                client,
                id_,
                execution_id=execution_id,
                tags=tags,
                points=list(_points(metrics, curve)),
            )

    if tracking_uri.startswith(SQLITE):
        return log()
    return _within(SERVER_SECONDS, log, tracking_uri)


def _log(
    client: Any,
    experiment: str,
    *,
    execution_id: str,
    tags: Mapping[str, str],
    points: Sequence[Any],
) -> str:
    # A run that was killed while it was logged is not FINISHED, and is logged again.
    runs = client.search_runs(
        [experiment],
        f"tags.{_EXECUTION_TAG} = '{execution_id}' and attributes.status = 'FINISHED'",
    )
    if runs:
        return str(runs[0].info.run_id)
    run = client.create_run(
        experiment, run_name=execution_id, tags={**tags, _EXECUTION_TAG: execution_id}
    )
    for start in range(0, len(points), _BATCH):
        client.log_batch(run.info.run_id, metrics=points[start : start + _BATCH])
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def _within(seconds: float, log: Callable[[], str | None], tracking_uri: str) -> str | None:
    """Runs `log` in a thread with a time limit.

    MLflow's own settings limit each attempt, not their sum: with dropped packets, eight attempts
    of 120 s for each address of the host. A thread cannot be killed, so it is abandoned; as a
    daemon it does not keep the process alive.
    """
    results: Queue[str | None] = Queue()

    def attempt() -> None:
        try:
            results.put(log())
        except Exception as error:
            _say_why_not(error)
            results.put(None)

    Thread(target=attempt, daemon=True).start()
    try:
        return results.get(timeout=seconds)
    except Empty:
        _say_why_not(f"MLflow at {tracking_uri} gave no answer within {seconds:g} s")
        return None


def _say_why_not(why: object) -> None:
    print(f"not tracked: {why}", file=sys.stderr)


def _points(metrics: Mapping[str, float], curve: Sequence[MetricLine]) -> Iterator[Any]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    for key, value in metrics.items():
        yield Metric(key, value, now, 0)
    for line in curve:
        for key, value in line.model_dump(exclude={"step"}).items():
            if value is not None:
                yield Metric(f"train.{key}", float(value), now, line.step)
