"""SageMaker's MLflow Apps, steps of executions, deletions in the registry: what moto lacks."""

import uuid
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError
from moto.sagemaker.models import sagemaker_backends

from .hosting import Hosting
from .json_api import Handler, ServiceError
from .lineage import Lineage


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
            # Nothing executes, so that an execution has no steps.
            "ListPipelineExecutionSteps": lambda _: {"PipelineExecutionSteps": []},
            "DescribeTrainingPlan": self._refuse_plan,
            "UpdateModelPackage": self._update_package,
            "DeleteModelPackage": self._delete_package,
            "DeleteModelPackageGroup": self._delete_group,
            "PutModelPackageGroupPolicy": self._share,
            "GetModelPackageGroupPolicy": lambda request: {
                "ResourcePolicy": self._shared.get(request["ModelPackageGroupName"], "{}")
            },
            "DeleteModelPackageGroupPolicy": self._unshare,
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

    def _refuse_plan(self, request: dict[str, Any]) -> None:
        """A plan exists once it is paid for, and nothing is sold here."""
        name = request["TrainingPlanName"]
        raise ServiceError("ResourceNotFound", f"TrainingPlan {name} does not exist")

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
