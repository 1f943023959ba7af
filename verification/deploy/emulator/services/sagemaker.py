"""What moto's SageMaker lacks: MLflow Apps, lineage, deletions in the registry, endpoints.

moto's take no Inferentia, and update no endpoint.
"""

import datetime as dt
import time
import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError
from moto.sagemaker.models import sagemaker_backends

from .asynchronous import Queues
from .executions import Executions
from .json_api import Handler, ServiceError

Record = dict[str, Any]
_RECENT = dt.timedelta(hours=1)


def breached_alarm(cloudwatch: Any, deployment: dict[str, Any]) -> str:
    """Returns the name of an alarm whose metric is above its threshold now; empty if none is."""
    alarms = deployment.get("AutoRollbackConfiguration", {}).get("Alarms", [])
    names = [item["AlarmName"] for item in alarms]
    now = dt.datetime.now(dt.UTC)
    for alarm in cloudwatch.describe_alarms(AlarmNames=names)["MetricAlarms"] if names else ():
        points = cloudwatch.get_metric_statistics(
            Namespace=alarm["Namespace"],
            MetricName=alarm["MetricName"],
            Dimensions=alarm["Dimensions"],
            StartTime=now - _RECENT,
            EndTime=now + _RECENT,
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
        newest = max(points, key=lambda point: point["Timestamp"], default={"Maximum": 0})
        if newest["Maximum"] > alarm["Threshold"]:
            return str(alarm["AlarmName"])
    return ""


_COUNTS = ("DesiredInstanceCount", "CurrentInstanceCount", "DesiredWeight", "CurrentWeight")


class Hosting:
    """Models, configurations and endpoints; an endpoint is in service when its call returns."""

    def __init__(self, place: str, registry: Any, aws: Callable[[str], Any]) -> None:
        self._place = place
        self._registry = registry
        self._aws = aws
        self._resources: dict[str, dict[str, Record]] = {
            kind: {} for kind in ("Model", "EndpointConfig", "Endpoint")
        }
        self.tagged: dict[str, list[dict[str, str]]] = {}  # ARN -> tags
        self.operations: dict[str, Handler] = {
            "CreateModel": self._create_model,
            "CreateEndpointConfig": self._create_config,
            "CreateEndpoint": self._create_endpoint,
            "UpdateEndpoint": self._update_endpoint,
            "UpdateEndpointWeightsAndCapacities": self._set_counts,
        }
        self._queues = Queues(
            lambda: self._resources["Endpoint"],
            aws,
            lambda name: self._get("EndpointConfig", name),
            self._container,
        )
        self.operations["async-invocations"] = self._queues.invoke
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
        if "AsyncInferenceConfig" in request:
            # SageMaker's guide does not say what becomes of it, and what a routing strategy does.
            routed = any("RoutingConfig" in item for item in request["ProductionVariants"])
            if routed or "DataCaptureConfig" in request:
                raise _invalid("the emulator knows no data capture and no routing of a queue")
        return self._make("EndpointConfig", request)

    def _create_endpoint(self, request: Record) -> Record:
        answer = self._make("Endpoint", request, **self._running(request, {}))
        self._queues.start()
        return answer

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
        queued = [
            "AsyncInferenceConfig" in self._get("EndpointConfig", name)
            for name in (endpoint["EndpointConfigName"], request["EndpointConfigName"])
        ]
        if queued[0] != queued[1]:
            raise _invalid(
                "The AsyncInferenceConfig parameter cannot be removed from this endpoint, or added"
            )
        if not all(item["DesiredInstanceCount"] for item in endpoint["ProductionVariants"]):
            raise _invalid("the emulator knows no update of an endpoint without instances")
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

    def _container(self, model: str) -> Record:
        """Returns the container of a model's package, with the decision threshold of the model."""
        container = self._get("Model", model)["PrimaryContainer"]
        package = self._registry.model_packages[container["ModelPackageName"]]
        threshold = container.get("Environment", {}).get("SASHIKO_THRESHOLD", "0.5")
        return {**package.inference_specification["Containers"][0], "threshold": threshold}

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


class Lineage:
    """The recorded lineage of models; nothing of it is deleted."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._entities: dict[str, Record] = {}
        self._edges: list[Record] = []
        self.operations: dict[str, Handler] = {
            "CreateArtifact": self._create_artifact,
            "DescribeArtifact": lambda request: self._get(request["ArtifactArn"]),
            "ListArtifacts": self._list_artifacts,
            "CreateAction": self._create_action,
            "ListActions": self._list_actions,
            "DescribeAction": lambda request: self._get(self._action(request["ActionName"])),
            "AddAssociation": self._associate,
            "ListAssociations": self._list_associations,
        }

    def _action(self, name: str) -> str:
        return f"{self._place}:action/{name}"

    def _get(self, arn: str) -> Record:
        if arn not in self._entities:
            raise ServiceError("ResourceNotFound", f"{arn} does not exist")
        return self._entities[arn]

    def _create_artifact(self, request: Record) -> Record:
        arn = f"{self._place}:artifact/{len(self._entities):032x}"
        self._entities[arn] = {**request, "ArtifactArn": arn}
        return {"ArtifactArn": arn}

    def _create_action(self, request: Record) -> Record:
        arn = self._action(request["ActionName"])
        if arn in self._entities:
            # "Must be unique to your account in an AWS Region": API_CreateAction.
            raise ServiceError("ValidationException", f"{arn} already exists")
        self._entities[arn] = {**request, "ActionArn": arn, "CreationTime": time.time()}
        return {"ActionArn": arn}

    def _list_actions(self, request: Record) -> Record:
        actions = [
            {
                key: item[key]
                for key in ("ActionArn", "ActionName", "Source", "ActionType", "CreationTime")
            }
            for item in self._entities.values()
            if "ActionArn" in item
            and item["Source"]["SourceUri"] == request.get("SourceUri")
            and item["ActionType"] == request.get("ActionType")
        ]
        newest_first = request.get("SortOrder", "Descending") == "Descending"
        return {"ActionSummaries": actions[::-1] if newest_first else actions}

    def _list_artifacts(self, request: Record) -> Record:
        artifacts = [
            {key: item[key] for key in ("ArtifactArn", "Source", "ArtifactType")}
            for item in self._entities.values()
            if "ArtifactArn" in item
            and item["Source"]["SourceUri"] == request.get("SourceUri")
            and item["ArtifactType"] == request.get("ArtifactType")
        ]
        return {"ArtifactSummaries": artifacts}

    def _associate(self, request: Record) -> Record:
        for end in ("SourceArn", "DestinationArn"):
            self._get(request[end])
        self._edges.append(request)
        return {key: request[key] for key in ("SourceArn", "DestinationArn")}

    def _list_associations(self, request: Record) -> Record:
        ends = [end for end in ("SourceArn", "DestinationArn") if end in request]
        edges = [edge for edge in self._edges if all(edge[e] == request[e] for e in ends)]
        return {"AssociationSummaries": edges}


class SageMaker:
    """The operations of one region that moto's SageMaker lacks."""

    def __init__(self, account: str, region: str, aws: Callable[[str], Any]) -> None:
        self._place = f"arn:aws:sagemaker:{region}:{account}"
        self._registry = sagemaker_backends[account][region]
        self._aws = aws
        self._apps: dict[str, dict[str, Any]] = {}
        self._tagged: dict[str, list[dict[str, str]]] = {}
        self._shared: dict[str, str] = {}  # group -> its policy
        self._hosting = Hosting(self._place, self._registry, aws)
        self.operations: dict[str, Handler] = {
            "CreateMlflowApp": self._create,
            "DescribeMlflowApp": lambda request: self._get(request["Arn"]),
            "UpdateMlflowApp": self._update,
            "DeleteMlflowApp": self._delete,
            "ListTags": self._tags,
            "ListMlflowApps": lambda _: {"Summaries": list(self._apps.values())},
            "UpdateModelPackage": self._update_package,
            "DeleteModelPackage": self._delete_package,
            "DeleteModelPackageGroup": self._delete_group,
            "PutModelPackageGroupPolicy": self._share,
            "GetModelPackageGroupPolicy": lambda request: {
                "ResourcePolicy": self._shared.get(request["ModelPackageGroupName"], "{}")
            },
            "DeleteModelPackageGroupPolicy": self._unshare,
            **Executions(self._registry).operations,
            **self._hosting.operations,
            **Lineage(self._place).operations,
        }

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        self._check_role(request["RoleArn"])
        self._check_store(request["ArtifactStoreUri"])
        arn = f"{self._place}:mlflow-app/app-{uuid.uuid4().hex[:12].upper()}"
        mode = request.get("ModelRegistrationMode", "AutoModelRegistrationDisabled")
        self._tagged[arn] = request.get("Tags", [])
        properties = {key: item for key, item in request.items() if key != "Tags"}
        self._apps[arn] = {
            **properties, "Arn": arn, "Status": "Created", "ModelRegistrationMode": mode,
        }  # fmt: skip
        return {"Arn": arn}

    def _check_role(self, arn: str) -> None:
        try:
            self._aws("iam").get_role(RoleName=arn.rpartition("/")[2])
        except ClientError as error:
            raise ServiceError("ValidationException", f"RoleArn: there is no {arn}") from error

    def _check_store(self, uri: str) -> None:
        bucket = uri.removeprefix("s3://").partition("/")[0]
        try:
            self._aws("s3").head_bucket(Bucket=bucket)
        except ClientError as error:
            raise ServiceError(
                "ValidationException", f"ArtifactStoreUri: there is no bucket {bucket}"
            ) from error

    def _get(self, arn: str) -> dict[str, Any]:
        if arn not in self._apps:
            raise ServiceError("ResourceNotFound", f"MLflow App {arn} does not exist")
        return self._apps[arn]

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        self._get(request["Arn"]).update(request)
        return {"Arn": request["Arn"]}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        del self._apps[self._get(request["Arn"])["Arn"]]
        return {"Arn": request["Arn"]}

    def _tags(self, request: dict[str, Any]) -> dict[str, Any]:
        arn = request["ResourceArn"]
        if arn in self._apps:
            return {"Tags": self._tagged[arn]}
        if arn in self._hosting.tagged:
            return {"Tags": self._hosting.tagged[arn]}
        return {"Tags": self._registry.list_tags(arn=arn)[0]}

    def _share(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["ModelPackageGroupName"]
        group = self._registry.model_package_groups.get(name)
        if group is None:
            raise ServiceError("ValidationException", f"ModelPackageGroup {name} does not exist")
        self._shared[name] = request["ResourcePolicy"]
        return {"ModelPackageGroupArn": group.arn}

    def _unshare(self, request: dict[str, Any]) -> None:
        self._shared.pop(request["ModelPackageGroupName"], None)

    def _update_package(self, request: dict[str, Any]) -> dict[str, Any]:
        """Keeps what the request does not name; moto forgets metadata, status and description."""
        arn = request["ModelPackageArn"]
        package = self._registry.model_packages.get(arn)
        if package is None:
            raise ServiceError("ValidationException", f"ModelPackage {arn} does not exist")
        metadata = package.customer_metadata_properties or {}
        self._registry.update_model_package(
            model_package_arn=arn,
            model_approval_status=request.get("ModelApprovalStatus", package.model_approval_status),
            approval_description=request.get("ApprovalDescription", package.approval_description),
            customer_metadata_properties={
                **metadata,
                **request.get("CustomerMetadataProperties", {}),
            },
            customer_metadata_properties_to_remove=request.get(
                "CustomerMetadataPropertiesToRemove", []
            ),
            additional_inference_specifications_to_add=request.get(
                "AdditionalInferenceSpecificationsToAdd"
            ),
        )
        return {"ModelPackageArn": package.arn}

    def _delete_package(self, request: dict[str, Any]) -> None:
        name = request["ModelPackageName"]
        arn = self._registry.model_package_name_mapping.get(name, name)
        if arn not in self._registry.model_packages:
            raise ServiceError("ValidationException", f"ModelPackage {name} does not exist")
        del self._registry.model_packages[arn]

    def _delete_group(self, request: dict[str, Any]) -> None:
        name = request["ModelPackageGroupName"]
        groups, packages = self._registry.model_package_groups, self._registry.model_packages
        if name not in groups:
            raise ServiceError("ValidationException", f"ModelPackageGroup {name} does not exist")
        if any(item.model_package_group_name == name for item in packages.values()):
            raise ServiceError("ConflictException", f"ModelPackageGroup {name} has model packages")
        del groups[name]
        self._shared.pop(name, None)
