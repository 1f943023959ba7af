"""Asynchronous endpoints: a queue for each, the artifact's own handler, and scaling of its variant.

What takes minutes at AWS takes a second here: an alarm of the backlog, a start, a scale-in. Only
what is configured happens: without an alarm on HasBacklogWithoutCapacity whose step policy adds an
instance a queue is never read, and without target tracking on the backlog nothing scales in. An
inline body is not emulated, and neither is what InvokeEndpointAsync does with it.
"""

import json
import tempfile
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sashiko.errors import InputError
from sashiko.serving.artifact import Artifact, RequestRefusedError, open_artifact

from .json_api import HEADERS, ServiceError

Record = dict[str, Any]
_TICK = 0.2  # seconds
_IDLE_TICKS = 10  # without a request, before the variant scales in
_WAKING_METRIC = "HasBacklogWithoutCapacity"


@dataclass
class Queued:
    """A request that waits."""

    id: str
    location: str
    content_type: str
    accept: str
    expires: float
    output: str
    failure: str


@dataclass
class Queue:
    """The requests of an endpoint."""

    waiting: list[Queued] = field(default_factory=list)
    idle: int = 0  # ticks since the last one


class Queues:
    """The queues of the asynchronous endpoints of one region."""

    def __init__(
        self,
        endpoints: Callable[[], dict[str, Record]],
        aws: Callable[[str], Any],
        config: Callable[[str], Record],
        package: Callable[[str], Record],
    ) -> None:
        """Functions return the endpoints, a configuration, and the container of a model."""
        self._endpoints, self._aws, self._config, self._package = endpoints, aws, config, package
        self._queues: dict[str, Queue] = {}
        self._artifacts: dict[str, Artifact | None] = {}
        self._open = ExitStack()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def invoke(self, request: Record) -> Record:
        """InvokeEndpointAsync, whose arguments are headers."""
        name = request["EndpointName"]
        endpoint = self._endpoints().get(name)
        config = endpoint and self._config(endpoint["EndpointConfigName"])
        if not config or "AsyncInferenceConfig" not in config:
            raise ServiceError("ValidationError", f"{name} is no asynchronous endpoint")
        if not request.get("InputLocation"):
            raise ServiceError("ValidationError", "the emulator takes InputLocation alone")
        id_ = request.get("InferenceId") or str(uuid.uuid4())
        places = config["AsyncInferenceConfig"]["OutputConfig"]
        file = request.get("Filename") or f"{id_}.out"
        output = f"{places['S3OutputPath']}/{file}"
        failure = f"{places['S3FailurePath']}/{id_}-error.out"
        item = Queued(
            id=id_, location=request["InputLocation"], output=output, failure=failure,
            content_type=request.get("ContentType", ""), accept=request.get("Accept", ""),
            expires=time.time() + int(request.get("RequestTTLSeconds") or 21_600),
        )  # fmt: skip
        with self._lock:
            self._queues.setdefault(name, Queue()).waiting.append(item)
        return {
            "InferenceId": id_,
            HEADERS: {
                "X-Amzn-SageMaker-OutputLocation": output,
                "X-Amzn-SageMaker-FailureLocation": failure,
            },
        }

    def start(self) -> None:
        """Begins to work on queues."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            time.sleep(_TICK)
            for name, endpoint in list(self._endpoints().items()):
                config = self._config(endpoint["EndpointConfigName"])
                if "AsyncInferenceConfig" in config:
                    self._tick(name, endpoint, config)

    def _tick(self, name: str, endpoint: Record, config: Record) -> None:
        queue = self._queues.setdefault(name, Queue())
        (variant,) = endpoint["ProductionVariants"]
        if variant["DesiredInstanceCount"] and queue.waiting:
            with self._lock:
                items, queue.waiting = queue.waiting, []
            for item in items:
                self._answer(item, name, variant["VariantName"], config)
        queue.idle = 0 if queue.waiting else queue.idle + 1
        self._scale(name, variant, queue)

    def _scale(self, name: str, variant: Record, queue: Queue) -> None:
        target = {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"endpoint/{name}/variant/{variant['VariantName']}",
            "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        }
        scaling = self._aws("application-autoscaling")
        ids = {**target, "ResourceIds": [target["ResourceId"]]}
        targets = scaling.describe_scalable_targets(
            **{key: item for key, item in ids.items() if key != "ResourceId"}
        )["ScalableTargets"]
        if not targets:
            return
        least, most = targets[0]["MinCapacity"], targets[0]["MaxCapacity"]
        count = variant["DesiredInstanceCount"]
        policies = scaling.describe_scaling_policies(**target)["ScalingPolicies"]
        if queue.waiting and not count:
            count += self._steps(name, policies)
        elif queue.idle >= _IDLE_TICKS and any(_tracks_backlog(item) for item in policies):
            count = least
        # A capacity out of the range is moved into it, whenever the target is registered.
        count = min(max(count, least), most)
        variant |= {"DesiredInstanceCount": count, "CurrentInstanceCount": count}

    def _steps(self, name: str, policies: list[Record]) -> int:
        """Returns how many instances the alarms of a backlog without capacity add."""
        alarms = self._aws("cloudwatch").describe_alarms()["MetricAlarms"]
        of_endpoint = [{"Name": "EndpointName", "Value": name}]
        actions = [
            action
            for alarm in alarms
            if alarm.get("MetricName") == _WAKING_METRIC and alarm["Dimensions"] == of_endpoint
            for action in alarm["AlarmActions"]
        ]
        return sum(
            step["ScalingAdjustment"]
            for policy in policies
            if any(action.endswith(f"|{policy['PolicyName']}") for action in actions)
            for step in policy.get("StepScalingPolicyConfiguration", {}).get("StepAdjustments", ())
        )

    def _answer(self, item: Queued, name: str, variant: str, config: Record) -> None:
        if item.expires < time.time():
            self._fail(item, config, "the request has expired")
            return
        bucket, key = _place(item.location)
        try:
            body = self._aws("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        except Exception as error:
            self._fail(item, config, f"RequestDownloadFailure: {error}")
            return
        artifact = self._artifact(config["ProductionVariants"][0]["ModelName"])
        began = time.perf_counter()
        try:
            if artifact is None:
                raise RuntimeError("the model cannot be loaded")
            answer = artifact.respond(body, content_type=item.content_type, accept=item.accept)
        except RequestRefusedError as error:
            self._fail(item, config, f"400: {error}")
        except Exception as error:  # as the toolkit: any fault of the model is a 500
            self._fail(item, config, f"500: {error}")
        else:
            self._put(item.output, answer, config)
            self._notify(config, "SuccessTopic", {"inferenceId": item.id})
        microseconds = (time.perf_counter() - began) * 1e6
        dimensions = [
            {"Name": "EndpointName", "Value": name}, {"Name": "VariantName", "Value": variant},
        ]  # fmt: skip
        self._aws("cloudwatch").put_metric_data(
            Namespace="AWS/SageMaker",
            MetricData=[
                {"MetricName": "ModelLatency", "Dimensions": dimensions, "Value": microseconds}
            ],
        )

    def _fail(self, item: Queued, config: Record, reason: str) -> None:
        self._put(item.failure, reason, config)
        self._notify(config, "ErrorTopic", {"inferenceId": item.id, "failureReason": reason})

    def _put(self, uri: str, text: str, config: Record) -> None:
        bucket, key = _place(uri)
        encryption = config["AsyncInferenceConfig"]["OutputConfig"]["KmsKeyId"]
        self._aws("s3").put_object(
            Bucket=bucket, Key=key, Body=text.encode(), ServerSideEncryption="aws:kms",
            SSEKMSKeyId=encryption,
        )  # fmt: skip

    def _notify(self, config: Record, kind: str, message: Record) -> None:
        topic = config["AsyncInferenceConfig"]["OutputConfig"]["NotificationConfig"][kind]
        self._aws("sns").publish(TopicArn=topic, Message=json.dumps(message))

    def _artifact(self, model: str) -> Artifact | None:
        """Loads a model's artifact once; None if its handler cannot."""
        if model not in self._artifacts:
            container = self._package(model)
            bucket, key = _place(container["ModelDataUrl"])
            archive = Path(tempfile.mkdtemp(), "model.tar.gz")
            body = self._aws("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
            archive.write_bytes(body)
            try:
                opened = open_artifact(archive, threshold=float(container["threshold"]))
                self._artifacts[model] = self._open.enter_context(opened)
            except InputError:
                self._artifacts[model] = None
        return self._artifacts[model]


def _tracks_backlog(policy: Record) -> bool:
    tracking = policy.get("TargetTrackingScalingPolicyConfiguration", {})
    metric = tracking.get("CustomizedMetricSpecification", {})
    return bool(metric.get("MetricName") == "ApproximateBacklogSizePerInstance")


def _place(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key
