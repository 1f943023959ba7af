"""Track: logs a run's metrics to MLflow, including runs that a gate will block.

Train and Evaluate have no network in the cloud, so they write figures and this step logs them.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, Queue
from threading import Thread
from typing import Any

from sashiko.base.files import read_json, write_json
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.bias.gates.estimates import INTERVALS_FILE, REPORTED_METRICS, read_estimates
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import (
    METRICS_FILE,
    Evaluation,
    MetricLine,
    read_evaluation,
)
from sashiko.evaluation.gates.verdict import (
    gate_tags,
    read_verdict,
    today,
    waive,
    write_verdict,
)
from sashiko.explain.explanation_record import (
    EXPLANATIONS_FILE,
    Explanations,
    read_explanations,
)
from sashiko.registry.mlflow import (
    SQLITE,
    execution_run,
    mlflow_client,
    translate_full_disk,
)
from sashiko.registry.versions import SOURCE_TAG
from sashiko.steps.entry import run_step
from sashiko.steps.registries import KINDS
from sashiko.steps.sections import read_waivers
from sashiko.steps.source_execution import source_execution

# Total limit, with MLflow's import: an unreachable server is not waited for on a paid machine.
SERVER_SECONDS = 30
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
        if (client := _client(tracking_uri)) is None:
            return None
        # After the client, which stops MLflow's telemetry.
        from mlflow.entities import Metric, RunTag

        now = int(time.time() * 1000)
        points = [Metric(key, value, now, 0) for key, value in metrics.items()]
        for line in curve:
            values = line.model_dump(exclude={"step"}, exclude_none=True)
            points += [Metric(f"train.{k}", float(v), now, line.step) for k, v in values.items()]
        with translate_full_disk(tracking_uri):
            run, finished = execution_run(
                client, experiment, execution_id, tracking_uri=tracking_uri
            )
            if finished:
                return run
            client.log_batch(run, tags=[RunTag(key, value) for key, value in tags.items()])
            for start in range(0, len(points), _BATCH):
                client.log_batch(run, metrics=points[start : start + _BATCH])
            client.set_terminated(run)
            return run

    return _within(SERVER_SECONDS, log, tracking_uri)


def find_run(tracking_uri: str, *, experiment: str, execution_id: str) -> str | None:
    """Returns the id of an execution's run, for what refers to it; None as `track_execution`."""

    def find() -> str | None:
        if (client := _client(tracking_uri)) is None:
            return None
        with translate_full_disk(tracking_uri):
            return execution_run(client, experiment, execution_id, tracking_uri=tracking_uri)[0]

    return _within(SERVER_SECONDS, find, tracking_uri)


def _within(seconds: float, log: Callable[[], str | None], tracking_uri: str) -> str | None:
    """Runs `log`, of a server in a thread with a time limit.

    MLflow's own settings limit each attempt, not their sum: with dropped packets, eight attempts
    of 120 s for each address of the host. A thread cannot be killed, so it is abandoned; as a
    daemon it does not keep the process alive.
    """
    if tracking_uri.startswith(SQLITE):
        return log()
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


def _client(tracking_uri: str) -> Any:
    try:
        return mlflow_client(tracking_uri)
    except InputError as error:
        _say_why_not(error)
        return None


def _say_why_not(why: object) -> None:
    print(f"not tracked: {why}", file=sys.stderr)


_LONGEST_NAME = 250  # MLflow, of a metric
_GATES = ("data", "facets", "quality", "bias")
_WITHOUT_FACETS = ("data", "quality")


def quality_metrics(evaluation: Evaluation) -> dict[str, float]:
    """Flattens the metrics of the test split, each with its bounds `.low` and `.high`.

    Returns:
        `<model>.<metric>`, `lead_over.<model>.<metric>`, `before_temperature.<metric>`,
        `class.<label>.recall` and `.precision`, and `slice.<column>.<value>.<metric>`, the last for
        the metric that slices are ordered by; and `calibration_error_by_chance`, `temperature`,
        `threshold` unless all classes are answered, and of a number `interval_half_width`.
    """
    calibration = evaluation.calibration
    metric = evaluation.slices.metric
    groups = {"candidate": evaluation.gateable, **evaluation.others}
    groups |= {f"lead_over.{model}": leads for model, leads in evaluation.leads.items()}
    groups["before_temperature"] = calibration.before
    groups |= {
        f"slice.{item.column}.{_metric_name(item.value)}": {metric: item.metrics[metric]}
        for item in evaluation.slices.judged
    }
    for label, rates in zip(evaluation.labels, evaluation.classes, strict=False):
        both = {"recall": rates.recall, "precision": rates.precision}
        groups[f"class.{_metric_name(label)}"] = both
    parts = {
        f"{group}.{name}{suffix}": value
        for group, estimates in groups.items()
        for name, item in estimates.items()
        for suffix, value in (("", item.value), (".low", item.low), (".high", item.high))
    }
    parts["calibration_error_by_chance"] = calibration.error_by_chance.value
    parts["temperature"] = calibration.temperature.temperature if calibration.temperature else None
    if evaluation.number is not None:
        parts["interval_half_width"] = evaluation.number.half_width
    if len(evaluation.labels) == 2 or evaluation.selective is not None:
        parts["threshold"] = evaluation.threshold
    return {key[:_LONGEST_NAME]: value for key, value in parts.items() if value is not None}


def bias_metrics() -> dict[str, float]:
    """Reads the bias metrics that have a value: `bias.<metric>.<facet>.<group>` -> value.

    Intersections have only the reported metrics, as `bias.DI.<facet> and <facet>.<groups>`.
    """
    estimates = read_estimates(processing_input("intervals") / INTERVALS_FILE)
    values = {}
    for item in estimates:
        reported = not item.is_intersection or item.metric in REPORTED_METRICS[item.stage]
        if item.value is not None and reported:
            facets, groups = " and ".join(item.facets), _metric_name(" and ".join(item.groups))
            values[f"bias.{item.metric}.{facets}.{groups}"[:_LONGEST_NAME]] = item.value
    return values


def explanation_metrics(explanations: Explanations) -> dict[str, float]:
    """Flattens the explanations: each column's share, and the figures of their tests."""
    shares = {_metric_name(column.name): column.share.value for column in explanations.columns}
    values = {f"explain.share.{name}": share for name, share in shares.items()}
    values["explain.deletion_lead"] = explanations.deletion.lead.value
    for swap in explanations.swaps:
        values[f"explain.swap_lead.{swap.facet}"] = swap.lead.value
        values[f"explain.swap_flips.{swap.facet}"] = swap.flips.value
    return {name: value for name, value in values.items() if value is not None}


def _metric_name(text: str) -> str:
    """MLflow allows letters, digits and `_-. :/` in a metric's name."""
    return "".join(char if char.isalnum() or char in "_-. " else "_" for char in text)


def main() -> None:
    """Writes `tracking.json` with the MLflow run's id, or null if MLflow cannot be reached.

    The output `verdicts` holds the verdicts of data, quality and bias with the recipe's waivers.
    Nothing waits for this step: ModelGate and Register find the waivers themselves, and the run is
    known by the execution's id.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registry", required=True, help=KINDS)
    parser.add_argument("--execution-id", required=True, help="of the pipeline")
    parser.add_argument("--execution-arn", required=True, help="of the same")
    parser.add_argument("--recipe", required=True, help="the recipe's name")
    parser.add_argument("--experiment", required=True, help="the MLflow experiment")
    parser.add_argument("--bias-not-judged", default="", help="why, where the data have no facets")
    arguments = parser.parse_args()

    evaluation = read_evaluation(processing_input("metrics") / METRICS_FILE)
    bias_not_judged = arguments.bias_not_judged
    names = _WITHOUT_FACETS if bias_not_judged else _GATES
    verdicts = [
        waive(read_verdict(processing_input(f"{name}-verdict")), read_waivers(), on=today())
        for name in names
    ]
    for verdict in verdicts:
        write_verdict(verdict, processing_output("verdicts") / verdict.gate)
    explanations = read_explanations(processing_input("explanations") / EXPLANATIONS_FILE)
    metrics = quality_metrics(evaluation) | explanation_metrics(explanations)
    if not bias_not_judged:
        metrics |= bias_metrics()
    manifest = read_json(processing_input("run-manifest") / "source.json")
    source = source_execution(arguments.registry, arguments.execution_arn)
    run_id = track_execution(
        os.environ.get("MLFLOW_TRACKING_URI", ""),
        experiment=arguments.experiment,
        execution_id=arguments.execution_id,
        tags={
            "recipe": arguments.recipe,
            "git_sha": manifest["git_sha"],
            **({SOURCE_TAG: source.id} if source else {}),
            **gate_tags(verdicts, bias_not_judged=bias_not_judged),
        },
        metrics=metrics,
        curve=evaluation.learning_curve,
    )
    write_json(processing_output("tracking") / "tracking.json", {"mlflow_run_id": run_id})
    print("tracked" if run_id else "not tracked", file=sys.stderr)


if __name__ == "__main__":
    run_step(main)
