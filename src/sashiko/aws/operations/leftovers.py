"""What exists under a name that the templates give, and belongs to no stack of theirs.

An earlier deploy retained it, or somebody else made it: the next deploy fails on it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sashiko.aws.operations.templates import Resource, Templates
from sashiko.aws.resources.account import Account
from sashiko.errors import InputError

Path = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Leftover:
    """Something that is in the way.

    Attributes:
        type: its CloudFormation type.
        stack: the name of the stack that wants to make it.
        name: its name.
        foreign: whether it is another account's, or hidden from the caller.
    """

    type: str
    stack: str
    name: str
    foreign: bool = False


@dataclass(frozen=True, kw_only=True)
class _Named:
    """How to see whether something exists: an operation, and the error that says it does not.

    Attributes:
        call: service and operation.
        given: parameter -> where a template's properties have it.
        absent: codes of the error.
        answer: the answer's member that holds it, where an empty one means that it is not there.
    """

    call: tuple[str, str]
    given: Mapping[str, Path]
    absent: tuple[str, ...]
    answer: str


def _named(service: str, operation: str, *absent: str, answer: str = "", **given: str) -> _Named:
    """Puts a line of the table together; what is given is a path of properties."""
    paths = {name: tuple(path.split(".")) for name, path in given.items()}
    return _Named(
        call=(service, operation),
        given=paths,
        absent=absent or ("EntityNotFoundException",),
        answer=answer,
    )


NAMED = {
    "AWS::Athena::WorkGroup": _named("athena", "get_work_group", "InvalidRequestException",
                                     answer="WorkGroup", WorkGroup="Name"),
    "AWS::CodeBuild::Project": _named("codebuild", "list_builds_for_project",
                                      "ResourceNotFoundException", projectName="Name"),
    "AWS::ECR::Repository": _named("ecr", "list_images", "RepositoryNotFoundException",
                                   repositoryName="RepositoryName"),
    "AWS::Events::Rule": _named("events", "describe_rule", "ResourceNotFoundException",
                                Name="Name"),
    "AWS::Glue::DataQualityRuleset": _named("glue", "get_data_quality_ruleset", Name="Name"),
    "AWS::Glue::Database": _named("glue", "get_database", Name="DatabaseInput.Name"),
    "AWS::Glue::Job": _named("glue", "get_job", JobName="Name"),
    "AWS::Glue::SecurityConfiguration": _named("glue", "get_security_configuration", Name="Name"),
    "AWS::Glue::Table": _named("glue", "get_table", DatabaseName="DatabaseName",
                               Name="TableInput.Name"),
    "AWS::IAM::Role": _named("iam", "get_role", "NoSuchEntity", RoleName="RoleName"),
    "AWS::KMS::Alias": _named("kms", "describe_key", "NotFoundException", KeyId="AliasName"),
    "AWS::LakeFormation::DataCellsFilter": _named(
        "lakeformation", "get_data_cells_filter", TableCatalogId="TableCatalogId",
        DatabaseName="DatabaseName", TableName="TableName", Name="Name"),
    "AWS::LakeFormation::Resource": _named("lakeformation", "describe_resource",
                                           ResourceArn="ResourceArn"),
    "AWS::LakeFormation::Tag": _named("lakeformation", "get_lf_tag", TagKey="TagKey"),
    "AWS::Lambda::Function": _named("lambda", "get_function", "ResourceNotFoundException",
                                    FunctionName="FunctionName"),
    "AWS::Logs::LogGroup": _named("logs", "describe_log_streams", "ResourceNotFoundException",
                                  logGroupName="LogGroupName"),
    "AWS::S3::Bucket": _named("s3", "head_bucket", "404", "NoSuchBucket", Bucket="BucketName"),
    "AWS::SageMaker::ModelPackageGroup": _named(
        "sagemaker", "describe_model_package_group", "ValidationException",
        ModelPackageGroupName="ModelPackageGroupName"),
    "AWS::SageMaker::Pipeline": _named("sagemaker", "describe_pipeline", "ResourceNotFound",
                                       "ValidationException", PipelineName="PipelineName"),
}  # fmt: skip
# Of resources that failed to be made, or are kept, a stack says so in its list.
_NOT_OWNED = {"CREATE_FAILED", "DELETE_COMPLETE", "DELETE_SKIPPED"}


def leftovers(account: Account, templates: Templates) -> Iterator[Leftover]:
    """Yields what is in the way of the templates, by type and in their order.

    Raises:
        InputError: as `Account.read` does.
    """
    owned = set(_owned(account, templates))
    for kind, named in NAMED.items():
        for resource in templates.of_type(kind):
            given: dict[str, Any] = {
                name: _at(resource, path) for name, path in named.given.items()
            }
            # Without a fixed name AWS chooses a free one; `<...>` stands for it.
            if not all(given.values()) or any("<" in value for value in given.values()):
                continue
            name = ".".join(given.values())
            if {(resource.stack, resource.logical_id), (resource.stack, name)} & owned:
                continue
            found = Leftover(type=kind, stack=resource.stack, name=name)
            try:
                answer = account.read(*named.call, absent=named.absent, **given)
            except InputError as error:
                # A bucket's name is taken in the whole world, and others' buckets are closed.
                if kind != "AWS::S3::Bucket" or _code(error) != "403":
                    raise
                yield replace(found, foreign=True)
                continue
            if answer is not None and (not named.answer or answer.get(named.answer)):
                yield found


def _owned(account: Account, templates: Templates) -> Iterator[tuple[str, str]]:
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


def _at(resource: Resource, path: Path) -> str:
    value: Any = resource.properties
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""


def _code(error: InputError) -> str:
    response = getattr(error.__cause__, "response", {})
    return str(response.get("Error", {}).get("Code", ""))
