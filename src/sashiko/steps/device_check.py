"""DeviceCheck: compares the artifact's answers on the serving device with Evaluate's.

    python -m sashiko.steps.device_check --backend endpoint --name x-devicecheck-dev-abc ...

Reads Compile's artifact, Prepare's test split, Evaluate's predictions and decision threshold.
Writes the verdict of the gate `device`.
"""

import argparse
import sys
from pathlib import Path

from sashiko.base.files import sha256_tree
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.base.stopping import stop_on_signals
from sashiko.evaluation.evaluation_record import DECISION_FILE, read_decision
from sashiko.evaluation.gates.verdict import (
    DEVICE_GATE,
    Check,
    Verdict,
    decide,
    not_judged,
    today,
    waive,
    write_verdict,
)
from sashiko.registry.versions import ARTIFACT_FILE
from sashiko.serving.artifact import RequestRefusedError, open_artifact
from sashiko.settings.recipe_train import DeviceSection
from sashiko.steps.device import measurement as measuring
from sashiko.steps.device.endpoint import Hosting, connect, endpoint, transform
from sashiko.steps.device.measurement import DeviceFailedError, Sample
from sashiko.steps.entry import run_step
from sashiko.steps.sections import read_section, read_waivers

_BACKENDS = ("endpoint", "transform", "local", "off")
_JUDGED_INPUTS = ("artifact", "decision", "predictions", "test")
_OFF = (
    "`device_check: off` in the environment's settings, so nobody knows how the artifact answers "
    "on the instance that serves it"
)
_LATENCY_NOT_JUDGED = {
    "endpoint": "",
    "transform": "a batch job shows no latency, and its instance's Neuron driver cannot be pinned: "
    "`device_check: endpoint` judges both",
    "local": "this machine is not the device: the handler answered in this process",
}
_JSON = "application/json"


def check(options: argparse.Namespace) -> Verdict:
    """Sends the sample to the device and judges the answers.

    Raises:
        InputError: if an input is missing or damaged, or AWS refuses a call.
    """
    section = read_section(DeviceSection, "device")
    archive = processing_input("artifact") / ARTIFACT_FILE
    serving_config = measuring.read_serving_config(archive)
    sample = measuring.draw_sample(
        section,
        test=processing_input("test"),
        predictions=processing_input("predictions") / "predictions.parquet",
        config=serving_config,
    )
    # One row more than the largest batch, for a full batch and a padded one.
    rows = serving_config.largest_batch + 1
    threshold = read_decision(processing_input("decision") / DECISION_FILE).threshold
    try:
        measurement = (
            _measure_locally(sample, archive, threshold=threshold, rows=rows)
            if options.backend == "local"
            else _measure_remotely(options, sample, threshold=threshold, rows=rows)
        )
    except DeviceFailedError as error:
        checks = [measuring.failed_check(str(error))]
    else:
        latency_reason = _LATENCY_NOT_JUDGED[options.backend]
        checks = measuring.device_checks(section, measurement, latency_not_judged=latency_reason)
    place = _describe_location(options, target=serving_config.target)
    return decide(
        gate=DEVICE_GATE,
        checks=[Check(name="checked on", passed=True, reason=place), *checks],
        inputs={name: sha256_tree(processing_input(name)) for name in _JUDGED_INPUTS},
    )


def _measure_locally(
    sample: Sample, archive: Path, *, threshold: float, rows: int
) -> measuring.Measurement:
    with open_artifact(archive, threshold=threshold, on_cpu=True) as artifact:

        def invoke(body: bytes) -> bytes:
            try:
                return artifact.respond(body, content_type=_JSON, accept=_JSON).encode()
            except RequestRefusedError as error:
                raise DeviceFailedError(f"the handler refused a request: {error}") from error

        measurement = measuring.measure(invoke, sample, batch_rows=rows, is_judged_by_latency=False)
    # Latency is not in the verdict, because a verdict must be reproducible.
    print(f"p50 {measurement.p50_ms:.1f} ms, p99 {measurement.p99_ms:.1f} ms here", file=sys.stderr)
    return measurement


def _measure_remotely(
    options: argparse.Namespace, sample: Sample, *, threshold: float, rows: int
) -> measuring.Measurement:
    settings = dict(pair.split("=", 1) for pair in options.setting)
    hosting = Hosting(
        name=f"{options.name}-{options.execution_id}",
        image=options.image,
        model_data=options.model_data,
        environment={**settings, "SASHIKO_THRESHOLD": repr(threshold)},
        role=options.role,
        instance_type=options.instance_type,
        inference_ami=options.inference_ami or None,
        startup_timeout=options.startup_timeout,
        download_timeout=options.download_timeout,
        subnets=tuple(options.subnet),
        groups=tuple(options.security_group),
        volume_key=options.volume_key or None,
        tags=dict(pair.split("=", 1) for pair in options.tag),
    )
    clients = connect()
    with stop_on_signals() as stop:
        if options.backend == "endpoint":
            with endpoint(clients, hosting, stop=stop) as invoke:
                return measuring.measure(invoke, sample, batch_rows=rows, is_judged_by_latency=True)
        bodies = list(measuring.requests(sample.texts, rows=rows))
        answers = transform(
            clients, hosting, bodies, scratch=options.scratch, key=options.output_key, stop=stop
        )
        read = measuring.read_answers(answers, expected=len(sample.texts))
        return measuring.compare(sample, [read])


def _describe_location(options: argparse.Namespace, *, target: str) -> str:
    if options.backend == "local":
        handler = "this machine's CPU: the artifact's own handler"
        eager = f", and the model that it was compiled from for {target}, as no {target} is here"
        return handler if target == "cpu" else handler + eager
    place, driver = f"a batch transform job with {options.instance_type}", ""
    if options.backend == "endpoint":
        place = f"an endpoint with {options.instance_type}"
        driver = f", {options.inference_ami}" if options.inference_ami else ""
    return f"{place}{driver}, {options.image.rpartition('/')[2]}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", required=True, choices=_BACKENDS, help="what answers")
    parser.add_argument("--name", help="the prefix of the name of all that it makes")
    parser.add_argument("--execution-id", help="of the pipeline; ends that name")
    parser.add_argument("--model-data", help="S3 URI of the artifact")
    parser.add_argument("--image", help="the serving image")
    parser.add_argument("--instance-type", help="that serves it")
    parser.add_argument("--inference-ami", help="version of the instance's image")
    parser.add_argument("--startup-timeout", type=int, help="seconds to load the model")
    parser.add_argument("--download-timeout", type=int, help="seconds to download it")
    parser.add_argument("--setting", action="append", default=[], help="NAME=value of a variable")
    parser.add_argument("--role", help="ARN of the container's role")
    parser.add_argument("--subnet", action="append", default=[], help="id of a subnet")
    parser.add_argument("--security-group", action="append", default=[], help="id of a group")
    parser.add_argument("--volume-key", help="ARN of the key of the instance's volume")
    parser.add_argument("--output-key", help="ARN of the key of a batch job's files")
    parser.add_argument("--scratch", help="S3 URI for a batch job's files")
    parser.add_argument("--tag", action="append", default=[], help="name=value")
    return parser.parse_args()


def main() -> None:
    """Writes `verdict`, and to `verdicts` the same with the recipe's waivers."""
    options = _options()
    verdict = (
        not_judged(gate=DEVICE_GATE, reason=_OFF) if options.backend == "off" else check(options)
    )
    waived = waive(verdict, read_waivers(), on=today())
    write_verdict(waived, processing_output("verdicts") / verdict.gate)
    write_verdict(verdict, processing_output("verdict"))
    print(waived.summary, file=sys.stderr)


if __name__ == "__main__":
    run_step(main)
