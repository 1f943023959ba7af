"""Resources with a name from the templates that belong to none of their stacks.

An earlier deploy retained them, or another team created them: the next deploy fails on them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sashiko.account.account import Account
from sashiko.account.templates import Resource, Templates
from sashiko.errors import InputError

Path = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """A resource that conflicts with a template."""

    type: str  # its CloudFormation type
    stack: str  # the name of the stack that would create it
    name: str
    foreign: bool = False  # whether it belongs to another account, or is hidden from the caller


@dataclass(frozen=True, kw_only=True)
class _Lookup:
    """How to look a resource up: an operation, and the error codes of a missing resource."""

    call: tuple[str, str]  # service and operation
    parameters: Mapping[str, Path]  # parameter -> path in a template's properties
    absent: tuple[str, ...]  # codes of the error
    answer: str  # the member of the response that is empty if the resource does not exist


def _lookup(
    service: str, operation: str, *absent: str, answer: str = "", **parameters: str
) -> _Lookup:
    """Returns a line of the table; a parameter is a dotted path of properties."""
    paths = {name: tuple(path.split(".")) for name, path in parameters.items()}
    return _Lookup(
        call=(service, operation),
        parameters=paths,
        absent=absent or ("EntityNotFoundException",),
        answer=answer,
    )


LOOKUPS = {
    "AWS::Athena::WorkGroup": _lookup("athena", "get_work_group", "InvalidRequestException",
                                     answer="WorkGroup", WorkGroup="Name"),
    "AWS::CodeBuild::Project": _lookup("codebuild", "list_builds_for_project",
                                      "ResourceNotFoundException", projectName="Name"),
    "AWS::ECR::Repository": _lookup("ecr", "list_images", "RepositoryNotFoundException",
                                   repositoryName="RepositoryName"),
    "AWS::Events::Rule": _lookup("events", "describe_rule", "ResourceNotFoundException",
                                Name="Name"),
    "AWS::Glue::DataQualityRuleset": _lookup("glue", "get_data_quality_ruleset", Name="Name"),
    "AWS::Glue::Database": _lookup("glue", "get_database", Name="DatabaseInput.Name"),
    "AWS::Glue::Job": _lookup("glue", "get_job", JobName="Name"),
    "AWS::Glue::SecurityConfiguration": _lookup("glue", "get_security_configuration", Name="Name"),
    "AWS::Glue::Table": _lookup("glue", "get_table", DatabaseName="DatabaseName",
                               Name="TableInput.Name"),
    "AWS::IAM::Role": _lookup("iam", "get_role", "NoSuchEntity", RoleName="RoleName"),
    "AWS::KMS::Alias": _lookup("kms", "describe_key", "NotFoundException", KeyId="AliasName"),
    "AWS::LakeFormation::DataCellsFilter": _lookup(
        "lakeformation", "get_data_cells_filter", TableCatalogId="TableCatalogId",
        DatabaseName="DatabaseName", TableName="TableName", Name="Name"),
    "AWS::LakeFormation::Resource": _lookup("lakeformation", "describe_resource",
                                           ResourceArn="ResourceArn"),
    "AWS::LakeFormation::Tag": _lookup("lakeformation", "get_lf_tag", TagKey="TagKey"),
    "AWS::Lambda::Function": _lookup("lambda", "get_function", "ResourceNotFoundException",
                                    FunctionName="FunctionName"),
    "AWS::Logs::LogGroup": _lookup("logs", "describe_log_streams", "ResourceNotFoundException",
                                  logGroupName="LogGroupName"),
    "AWS::S3::Bucket": _lookup("s3", "head_bucket", "404", "NoSuchBucket", Bucket="BucketName"),
    "AWS::SageMaker::ModelPackageGroup": _lookup(
        "sagemaker", "describe_model_package_group", "ValidationException",
        ModelPackageGroupName="ModelPackageGroupName"),
    "AWS::SageMaker::Pipeline": _lookup("sagemaker", "describe_pipeline", "ResourceNotFound",
                                       "ValidationException", PipelineName="PipelineName"),
}  # fmt: skip
# Statuses of resources that a stack lists but does not own.
_NOT_OWNED = {"CREATE_FAILED", "DELETE_COMPLETE", "DELETE_SKIPPED"}


def leftovers(account: Account, templates: Templates) -> Iterator[Leftover]:
    """Yields the resources that conflict with the templates, by type and in their order.

    Raises:
        InputError: as `Account.read` does.
    """
    owned = set(_owned_resources(account, templates))
    for kind, lookup in LOOKUPS.items():
        for resource in templates.of_type(kind):
            parameters: dict[str, Any] = {
                name: _property(resource, path) for name, path in lookup.parameters.items()
            }
            # Without a fixed name AWS chooses a free one; `<...>` stands for it.
            if not all(parameters.values()) or any("<" in value for value in parameters.values()):
                continue
            name = ".".join(parameters.values())
            if {(resource.stack, resource.logical_id), (resource.stack, name)} & owned:
                continue
            leftover = Leftover(type=kind, stack=resource.stack, name=name)
            try:
                answer = account.read(*lookup.call, absent=lookup.absent, **parameters)
            except InputError as error:
                # A bucket's name is taken in the whole world, and others' buckets are closed.
                if kind != "AWS::S3::Bucket" or _code(error) != "403":
                    raise
                yield replace(leftover, foreign=True)
                continue
            if answer is not None and (not lookup.answer or answer.get(lookup.answer)):
                yield leftover


def _owned_resources(account: Account, templates: Templates) -> Iterator[tuple[str, str]]:
    """Yields each resource of the environment's stacks, by its id and by its name."""
    for stack in templates.stacks:
        for item in account.pages(
            "cloudformation",
            "list_stack_resources",
            "StackResourceSummaries",
            absent=("ValidationError",),
            StackName=stack,
        ):
            if item.get("ResourceStatus") not in _NOT_OWNED:
                yield stack, item["LogicalResourceId"]
                yield stack, item.get("PhysicalResourceId", "")


def _property(resource: Resource, path: Path) -> str:
    value: Any = resource.properties
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""


def _code(error: InputError) -> str:
    response = getattr(error.__cause__, "response", {})
    return str(response.get("Error", {}).get("Code", ""))
