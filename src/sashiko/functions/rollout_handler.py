"""Wakes an endpoint that sleeps for an update, and judges the update by requests sent again.

`wake`, before the endpoint changes: two instances, which a canary needs, and which no scaling takes
back while the update lasts. `judge`, after it: requests of the last days that were answered are
sent again, and each must be answered in time. Too few requests or answers are no pass. It reads
only the answers to what it has sent. A failure makes CloudFormation put the version before back.

Whatever happens, the endpoint sleeps again: after a pass, when CloudFormation deletes the resource
of a failed update, or at last by a scheduled action of Application Auto Scaling.

An instance may take longer to load a model than a function may run: it then calls itself with what
it knows, and the last call answers CloudFormation.
"""

import datetime as dt
import json
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final

import boto3
from botocore.exceptions import ClientError

from sashiko.base.async_requests import JUDGED, OUTPUT, input_folder, request_time
from sashiko.base.custom_resource import Answer, RefusedError, Request, respond
from sashiko.base.function_input import RolloutStep

_AWAKE: Final = 2  # instances: a canary is one, and half of the fleet at most
_KNOWN: Final = "Known"  # key of the event: what an earlier call of the function knows
_KEPT_MILLISECONDS: Final = 60_000  # to call itself in
_POLL_SECONDS: Final = 5
# Seconds, all below an hour, after which CloudFormation gives up.
_LONGEST_WAKE: Final = 3300
_LONGEST_ANSWERS: Final = 2400
_LONGEST_METRICS: Final = 900  # CloudWatch's may come minutes late
# An update may take four hours, and so may its way back.
_SLEEPS_AT_LAST: Final = dt.timedelta(hours=10)
_SLEEP_ACTION: Final = "sleep-after-an-update"
# Requests are taken from the last hour, else day, else from all that are kept.
_SPANS: Final = (dt.timedelta(hours=1), dt.timedelta(days=1), dt.timedelta(days=3650))
_NONE: Final = "none"  # what served before the endpoint was made


def handler(event: Mapping[str, Any], context: Any) -> None:
    """Handles CloudFormation's requests, and those of an earlier call of itself."""
    respond(event, lambda request: _work(request, event, context))


def _work(request: Request, event: Mapping[str, Any], context: Any) -> Answer | None:
    step = RolloutStep.from_properties(request.properties)
    id_ = request.physical_id or request.resource
    if request.kind == "Delete":
        if step.step == "wake":
            _sleep(step)
        return Answer(physical_id=id_)
    known = dict(event.get(_KNOWN) or {"began": time.time()})
    work = _wake if step.step == "wake" else _judge
    if work(step, known, context):
        return Answer(physical_id=id_, data={"Before": known.get("before", step.before)})
    payload = json.dumps({**event, _KNOWN: known}).encode()
    boto3.client("lambda").invoke(
        FunctionName=context.invoked_function_arn, InvocationType="Event", Payload=payload
    )
    return None


def _has_time(context: Any) -> bool:
    return bool(context.get_remaining_time_in_millis() > _KEPT_MILLISECONDS)


def _target(step: RolloutStep) -> dict[str, str]:
    return {
        "ServiceNamespace": "sagemaker",
        "ResourceId": f"endpoint/{step.endpoint}/variant/{step.variant}",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }


def _is_scaled(step: RolloutStep) -> bool:
    target = _target(step)
    ids = [target.pop("ResourceId")]
    scaling = boto3.client("application-autoscaling")
    return bool(scaling.describe_scalable_targets(ResourceIds=ids, **target)["ScalableTargets"])


def _endpoint(step: RolloutStep) -> Mapping[str, Any] | None:
    sagemaker = boto3.client("sagemaker")
    try:
        endpoint: Mapping[str, Any] = sagemaker.describe_endpoint(EndpointName=step.endpoint)
    except ClientError as error:
        if "Could not find" not in error.response["Error"]["Message"]:
            raise
        return None
    return endpoint


def _wake(step: RolloutStep, known: dict[str, Any], context: Any) -> bool:
    """Wakes the instances; False if the function's time is up before they are there.

    A new minimum above the present count scales out at once: "Application Auto Scaling retrieves
    the current capacity of the resource. If it's below the minimum capacity [...] it adjusts the
    capacity" (RegisterScalableTarget, Application Auto Scaling API Reference).
    """
    endpoint = _endpoint(step)
    if endpoint is None:
        known["before"] = _NONE
        return True
    if "before" not in known:
        if not _is_scaled(step):
            raise RefusedError(
                f"{step.endpoint} does not scale any more, so that nothing can wake it: destroy "
                "the Serving stack and deploy it"
            )
        known["before"] = endpoint["EndpointConfigName"]
        scaling, target = boto3.client("application-autoscaling"), _target(step)
        at_last = dt.datetime.now(dt.UTC) + _SLEEPS_AT_LAST
        scaling.put_scheduled_action(
            **target,
            ScheduledActionName=_SLEEP_ACTION,
            Schedule=f"at({at_last:%Y-%m-%dT%H:%M:%S})",
            ScalableTargetAction={"MinCapacity": 0},
        )
        scaling.register_scalable_target(**target, MinCapacity=_AWAKE)
    while not _is_awake(endpoint):
        if not _has_time(context):
            return False
        if time.time() - known["began"] > _LONGEST_WAKE:
            _sleep(step)
            raise RefusedError(
                f"{step.endpoint} has not woken {_AWAKE} instances within an hour: its log group "
                f"/aws/sagemaker/Endpoints/{step.endpoint} and its scaling activities say why"
            )
        time.sleep(_POLL_SECONDS)
        endpoint = _endpoint(step) or {}
    return True


def _is_awake(endpoint: Mapping[str, Any]) -> bool:
    variants = endpoint.get("ProductionVariants", ())
    counts = [item.get("CurrentInstanceCount", 0) for item in variants]
    return endpoint.get("EndpointStatus") == "InService" and min(counts, default=0) >= _AWAKE


def _sleep(step: RolloutStep) -> None:
    """Lets scaling take the last instance again; nothing is left of the update."""
    if not _is_scaled(step):
        return
    scaling, target = boto3.client("application-autoscaling"), _target(step)
    scaling.register_scalable_target(**target, MinCapacity=0)
    try:
        scaling.delete_scheduled_action(**target, ScheduledActionName=_SLEEP_ACTION)
    except scaling.exceptions.ObjectNotFoundException:
        print("nothing was scheduled")


def _judge(step: RolloutStep, known: dict[str, Any], context: Any) -> bool:
    """Judges an update; False if the function's time is up before all is answered.

    Raises:
        RefusedError: if it does not pass; the endpoint stays awake for the way back.
    """
    if step.before == _NONE:
        print("nothing was served before: the device check has judged the version")
        return True
    if "sent" not in known:
        known["began"] = time.time()
        known["sent"] = _send(step)
        known["failed"] = []
    sent, failed = known["sent"], known["failed"]
    while pending := [item for item in sent if item["answer"] is None]:
        for item in pending:
            item["answer"] = _answer(item)
            if item["answer"] is False:
                failed.append(item["id"])
        if all(item["answer"] is not None for item in pending):
            break
        if time.time() - known["began"] > _LONGEST_ANSWERS:
            break
        if not _has_time(context):
            return False
        time.sleep(_POLL_SECONDS)
    answered = sum(item["answer"] is not None for item in sent)
    count = len(sent)
    if answered < count:
        raise RefusedError(
            f"{step.config}: {answered} of {count} requests were answered, and fewer than all are "
            "no pass"
        )
    if len(failed) > float(step.error_rate) * count:
        raise RefusedError(
            f"{step.config}: {len(failed)} of {count} requests failed that were answered before, "
            f"and `serving.error_rate` allows {step.error_rate}; the first is {failed[0]}"
        )
    return _judge_latency(step, known, context)


def _judge_latency(step: RolloutStep, known: dict[str, Any], context: Any) -> bool:
    """Compares the slowest answer: of this few requests it is the 99th percentile."""
    began = dt.datetime.fromtimestamp(known["began"], dt.UTC).replace(second=0, microsecond=0)
    known.setdefault("answered", time.time())
    while True:
        points = boto3.client("cloudwatch").get_metric_statistics(
            Namespace="AWS/SageMaker",
            MetricName="ModelLatency",
            Dimensions=[
                {"Name": "EndpointName", "Value": step.endpoint},
                {"Name": "VariantName", "Value": step.variant},
            ],
            StartTime=began,
            EndTime=dt.datetime.now(dt.UTC) + dt.timedelta(minutes=1),
            Period=60,
            Statistics=["Maximum", "SampleCount"],
        )["Datapoints"]
        measured = sum(point["SampleCount"] for point in points)
        if measured >= len(known["sent"]):
            break
        if time.time() - known["answered"] > _LONGEST_METRICS:
            raise RefusedError(
                f"{step.config}: CloudWatch has {measured:g} latencies of {len(known['sent'])} "
                "answers, and fewer than all are no pass"
            )
        if not _has_time(context):
            return False
        time.sleep(_POLL_SECONDS)
    slowest = max(point["Maximum"] for point in points) / 1000  # from microseconds
    if slowest > float(step.p99_latency_ms):
        raise RefusedError(
            f"{step.config}: the slowest answer took {slowest:.0f} ms in the model, and "
            f"`serving.p99_latency_ms` allows {step.p99_latency_ms}"
        )
    print(f"{step.config}: {len(known['sent'])} answers, the slowest in {slowest:.0f} ms")
    _sleep(step)
    return True


def _send(step: RolloutStep) -> list[dict[str, Any]]:
    """Sends recorded requests again.

    Raises:
        RefusedError: if there are fewer than it needs.
    """
    wanted = int(step.requests)
    names = _answered_names(step, wanted)
    if len(names) < wanted:
        raise RefusedError(
            f"{step.endpoint}: {len(names)} requests are kept that were answered, and an update "
            f"is judged by {wanted}: send more by `sashiko model invoke` and deploy again, or "
            "lower `serving.asynchronous.judged_requests`"
        )
    runtime, token = boto3.client("sagemaker-runtime"), secrets.token_hex(4)
    sent = []
    for number, name in enumerate(names):
        key = f"{input_folder(step.endpoint)}{name}.json"
        response = runtime.invoke_endpoint_async(
            EndpointName=step.endpoint,
            InputLocation=f"s3://{step.bucket}/{key}",
            InferenceId=f"{JUDGED}{token}-{number}",
            ContentType="application/json",
            Accept="application/json",
            RequestTTLSeconds=_LONGEST_ANSWERS,
        )
        places = {"output": response["OutputLocation"], "failure": response["FailureLocation"]}
        sent.append({"id": name, "answer": None, **places})
    return sent


def _answered_names(step: RolloutStep, wanted: int) -> list[str]:
    """Returns the names of recent requests that some version has answered, at most `wanted`."""
    s3 = boto3.client("s3")
    names: list[str] = []
    top = {"Bucket": step.bucket, "Prefix": f"{step.endpoint}/version=", "Delimiter": "/"}
    versions = [item["Prefix"] for item in s3.list_objects_v2(**top).get("CommonPrefixes", ())]
    for span in _SPANS:
        since = f"{dt.datetime.now(dt.UTC) - span:%Y%m%dT%H%M%S}"
        names = []
        for version in versions:
            prefix = f"{version}{OUTPUT}/"
            page = s3.list_objects_v2(
                Bucket=step.bucket, Prefix=prefix, StartAfter=f"{prefix}{since}", MaxKeys=1000
            )
            keys = (item["Key"].removeprefix(prefix) for item in page.get("Contents", ()))
            names += [name for key in keys if request_time(name := key.removesuffix(".out"))]
        if len(names) >= wanted:
            break
    return sorted(names)[-wanted:]


def _answer(item: Mapping[str, Any]) -> bool | None:
    """Says whether an answer is valid; None if there is none yet."""
    body = _object(item["output"])
    if body is not None:
        try:
            answers = json.loads(body)
        except ValueError:
            return False
        return isinstance(answers, list) and bool(answers)
    return False if _object(item["failure"]) is not None else None


def _object(uri: str) -> bytes | None:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    try:
        body = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":
            raise
        return None
    return bytes(body)
