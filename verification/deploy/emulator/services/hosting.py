"""SageMaker's models and endpoints: moto's take no Inferentia, and update no endpoint."""

import time
from collections.abc import Callable
from typing import Any

from .canary import breached_alarm
from .json_api import Handler, ServiceError

Record = dict[str, Any]
_COUNTS = ("DesiredInstanceCount", "CurrentInstanceCount", "DesiredWeight", "CurrentWeight")


class Hosting:
    """Models, configurations and endpoints; an endpoint is in service when its call returns.

    Attributes:
        operations: those of the API that it takes over.
        tagged: ARN -> tags, of existing resources.
    """

    def __init__(self, place: str, registry: Any, aws: Callable[[str], Any]) -> None:
        self._place = place
        self._registry = registry
        self._aws = aws
        self._resources: dict[str, dict[str, Record]] = {
            kind: {} for kind in ("Model", "EndpointConfig", "Endpoint")
        }
        self.tagged: dict[str, list[dict[str, str]]] = {}
        self.operations: dict[str, Handler] = {
            "CreateModel": self._create_model,
            "CreateEndpointConfig": self._create_config,
            "CreateEndpoint": self._create_endpoint,
            "UpdateEndpoint": self._update_endpoint,
            "UpdateEndpointWeightsAndCapacities": self._set_counts,
        }
        for kind in self._resources:
            self.operations |= {
                f"Describe{kind}": self._describe(kind),
                f"Delete{kind}": self._delete(kind),
                f"List{kind}s": self._list(kind),
            }

    def _make(self, kind: str, request: Record, **more: Any) -> Record:
        name, arn_type = request[f"{kind}Name"], {"EndpointConfig": "endpoint-config"}.get(kind)
        arn = f"{self._place}:{arn_type or kind.lower()}/{name}"
        if name in self._resources[kind]:
            raise _invalid(f"Cannot create already existing {kind.lower()} {arn!r}")
        self.tagged[arn] = request.get("Tags", [])
        properties = {key: item for key, item in request.items() if key != "Tags"}
        self._resources[kind][name] = {
            **properties, f"{kind}Arn": arn, "CreationTime": time.time(), **more,
        }  # fmt: skip
        return {f"{kind}Arn": arn}

    def _get(self, kind: str, name: str) -> Record:
        if name not in self._resources[kind]:
            raise _invalid(f"Could not find {kind.lower()} {name!r}.")
        return self._resources[kind][name]

    def _describe(self, kind: str) -> Handler:
        return lambda request: self._get(kind, request[f"{kind}Name"])

    def _delete(self, kind: str) -> Handler:
        def delete(request: Record) -> None:
            del self.tagged[self._get(kind, request[f"{kind}Name"])[f"{kind}Arn"]]
            del self._resources[kind][request[f"{kind}Name"]]

        return delete

    def _list(self, kind: str) -> Handler:
        names = (f"{kind}Name", f"{kind}Arn", "CreationTime")
        return lambda _: {
            f"{kind}s": [
                {key: item[key] for key in names} | {"EndpointStatus": "InService"}
                for item in self._resources[kind].values()
            ]
        }

    def _create_model(self, request: Record) -> Record:
        container = request.get("PrimaryContainer", {})
        if arn := container.get("ModelPackageName"):
            package = self._registry.model_packages.get(arn)
            if package is None:
                raise _invalid(f"ModelPackage {arn} does not exist")
            if package.model_approval_status != "Approved":
                raise _invalid(f"ModelPackage {arn} is not approved")
        return self._make("Model", request)

    def _create_config(self, request: Record) -> Record:
        for variant in request["ProductionVariants"]:
            self._get("Model", variant["ModelName"])
        return self._make("EndpointConfig", request)

    def _create_endpoint(self, request: Record) -> Record:
        return self._make("Endpoint", request, **self._running(request, {}))

    def _update_endpoint(self, request: Record) -> Record:
        endpoint = self._get("Endpoint", request["EndpointName"])
        excluded = {
            item["VariantPropertyType"]
            for item in request.get("ExcludeRetainedVariantProperties", [])
        }
        retain = request.get("RetainAllVariantProperties", False)
        self._check_update(endpoint, request)
        old = endpoint if retain and "DesiredInstanceCount" not in excluded else {}
        running = self._running(request, old)
        if alarm := breached_alarm(self._aws("cloudwatch"), running["LastDeploymentConfig"]):
            # "Auto-Rollback Configuration", SageMaker: the fleet that was there stays.
            endpoint["FailureReason"] = f"The alarm {alarm} rolled the update back"
            return {"EndpointArn": endpoint["EndpointArn"]}
        if retain and "DataCaptureConfig" not in excluded:
            running["DataCaptureConfig"] = endpoint.get("DataCaptureConfig")
        endpoint.update(running)
        return {"EndpointArn": endpoint["EndpointArn"]}

    def _check_update(self, endpoint: Record, request: Record) -> None:
        """Checks the rules of SageMaker's guide on scaled endpoints, and of its API on a canary."""
        configs = [
            self._get("EndpointConfig", name)["ProductionVariants"]
            for name in (endpoint["EndpointConfigName"], request["EndpointConfigName"])
        ]
        old, new = ({v["VariantName"]: v["InstanceType"] for v in config} for config in configs)
        scaling = self._aws("application-autoscaling")
        for name in {name for name in old if new.get(name) != old[name]}:
            ids = [f"endpoint/{endpoint['EndpointName']}/variant/{name}"]
            targets = scaling.describe_scalable_targets(
                ServiceNamespace="sagemaker", ResourceIds=ids
            )
            if targets["ScalableTargets"]:
                raise _invalid(f"{ids[0]} is a scalable target: its instance type can't change")
        policy = request.get("DeploymentConfig", {}).get("BlueGreenUpdatePolicy", {})
        canary = policy.get("TrafficRoutingConfiguration", {}).get("CanarySize", {}).get("Value", 0)
        for variant in endpoint["ProductionVariants"]:
            if canary * 2 > variant["DesiredInstanceCount"]:
                raise _invalid("CanarySize is more than 50% of the variant's instances")

    def _running(self, request: Record, old: Record) -> Record:
        """Returns an endpoint on a configuration; instance counts of `old` stay."""
        config = self._get("EndpointConfig", request["EndpointConfigName"])
        deployment = request.get("DeploymentConfig", {})
        self._check_alarms(deployment.get("AutoRollbackConfiguration", {}).get("Alarms", []))
        before = {item["VariantName"]: item for item in old.get("ProductionVariants", [])}
        capture = config.get("DataCaptureConfig")
        return {
            "EndpointStatus": "InService",
            "EndpointConfigName": request["EndpointConfigName"],
            "LastDeploymentConfig": deployment,
            "LastModifiedTime": time.time(),
            "ProductionVariants": [
                _variant(item, before.get(item["VariantName"], {}))
                | {"DeployedImages": [{"SpecifiedImage": self._image(item["ModelName"])}]}
                for item in config["ProductionVariants"]
            ],
            "DataCaptureConfig": capture
            and {
                "EnableCapture": capture["EnableCapture"],
                "CaptureStatus": "Started",
                "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
                "DestinationS3Uri": capture["DestinationS3Uri"],
                "KmsKeyId": capture["KmsKeyId"],
            },
        }

    def _image(self, model: str) -> str:
        arn = self._get("Model", model)["PrimaryContainer"]["ModelPackageName"]
        package = self._registry.model_packages[arn]
        return str(package.inference_specification["Containers"][0]["Image"])

    def _check_alarms(self, alarms: list[dict[str, str]]) -> None:
        alarm_names = {item["AlarmName"] for item in alarms}
        existing = self._aws("cloudwatch").describe_alarms(AlarmNames=sorted(alarm_names))[
            "MetricAlarms"
        ]
        if missing := alarm_names - {item["AlarmName"] for item in existing}:
            raise _invalid(f"Alarms {sorted(missing)} do not exist")

    def _set_counts(self, request: Record) -> Record:
        endpoint = self._get("Endpoint", request["EndpointName"])
        counts = {
            item["VariantName"]: item["DesiredInstanceCount"]
            for item in request["DesiredWeightsAndCapacities"]
        }
        for variant in endpoint["ProductionVariants"]:
            count = counts.get(variant["VariantName"], variant["DesiredInstanceCount"])
            variant |= {"DesiredInstanceCount": count, "CurrentInstanceCount": count}
        return {"EndpointArn": endpoint["EndpointArn"]}


def _variant(variant: Record, before: Record) -> Record:
    count, weight = variant["InitialInstanceCount"], variant["InitialVariantWeight"]
    initial = dict(zip(_COUNTS, (count, count, weight, weight), strict=True))
    current = {key: before[key] for key in _COUNTS if key in before}
    return {"VariantName": variant["VariantName"], **initial, **current}


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)
