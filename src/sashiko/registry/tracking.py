"""Logs an execution as one MLflow run, with the metrics of its files."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, Queue
from threading import Thread

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
        from mlflow.entities import Metric  # after the client, which stops MLflow's telemetry

        now = int(time.time() * 1000)
        points = [Metric(key, value, now, 0) for key, value in metrics.items()]
        for line in curve:
            values = line.model_dump(exclude={"step"}, exclude_none=True)
            points += [Metric(f"train.{k}", float(v), now, line.step) for k, v in values.items()]
        with translate_full_disk(tracking_uri):
            # A run that was killed while it was logged is not FINISHED, and is logged again.
            same = f"tags.{_EXECUTION_TAG} = '{execution_id}' and attributes.status = 'FINISHED'"
            if runs := client.search_runs([id_], same):
                return str(runs[0].info.run_id)
            all_tags = {**tags, _EXECUTION_TAG: execution_id}
            run = client.create_run(id_, run_name=execution_id, tags=all_tags).info.run_id
            for start in range(0, len(points), _BATCH):
                client.log_batch(run, metrics=points[start : start + _BATCH])
            client.set_terminated(run)
            return str(run)

    return log() if tracking_uri.startswith(SQLITE) else _within(SERVER_SECONDS, log, tracking_uri)


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
