"""What exists under a name that the templates give, and belongs to no stack of theirs.

An earlier deploy retained it, or somebody else made it: the next deploy fails on it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sashiko.aws.account import Account
from sashiko.aws.templates import Resource, Templates
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
        given: parameter -> where a template's properties have it; () for the resource's own `Ref`.
        absent: codes of the error.
        answer: the answer's member that holds it, where an empty one means that it is not there.
    """

    call: tuple[str, str]
    given: Mapping[str, Path]
    absent: tuple[str, ...] = ("EntityNotFoundException",)
    answer: str = ""


NAMED = {
    "AWS::Athena::WorkGroup": _Named(
        call=("athena", "get_work_group"),
        given={"WorkGroup": ("Name",)},
        absent=("InvalidRequestException",),
        answer="WorkGroup",
    ),
    "AWS::CodeBuild::Project": _Named(
        call=("codebuild", "list_builds_for_project"),
        given={"projectName": ("Name",)},
        absent=("ResourceNotFoundException",),
    ),
    "AWS::ECR::Repository": _Named(
        call=("ecr", "list_images"),
        given={"repositoryName": ("RepositoryName",)},
        absent=("RepositoryNotFoundException",),
    ),
    "AWS::Events::Rule": _Named(
        call=("events", "describe_rule"),
        given={"Name": ("Name",)},
        absent=("ResourceNotFoundException",),
    ),
    "AWS::Glue::DataQualityRuleset": _Named(
        call=("glue", "get_data_quality_ruleset"), given={"Name": ("Name",)}
    ),
    "AWS::Glue::Database": _Named(
        call=("glue", "get_database"), given={"Name": ("DatabaseInput", "Name")}
    ),
    "AWS::Glue::Job": _Named(call=("glue", "get_job"), given={"JobName": ("Name",)}),
    "AWS::Glue::SecurityConfiguration": _Named(
        call=("glue", "get_security_configuration"), given={"Name": ("Name",)}
    ),
    "AWS::Glue::Table": _Named(
        call=("glue", "get_table"),
        given={"DatabaseName": ("DatabaseName",), "Name": ("TableInput", "Name")},
    ),
    "AWS::IAM::Role": _Named(
        call=("iam", "get_role"), given={"RoleName": ("RoleName",)}, absent=("NoSuchEntity",)
    ),
    "AWS::KMS::Alias": _Named(
        call=("kms", "describe_key"),
        given={"KeyId": ("AliasName",)},
        absent=("NotFoundException",),
    ),
    "AWS::LakeFormation::DataCellsFilter": _Named(
        call=("lakeformation", "get_data_cells_filter"),
        given={name: (name,) for name in ("TableCatalogId", "DatabaseName", "TableName", "Name")},
    ),
    "AWS::LakeFormation::Resource": _Named(
        call=("lakeformation", "describe_resource"), given={"ResourceArn": ("ResourceArn",)}
    ),
    "AWS::LakeFormation::Tag": _Named(
        call=("lakeformation", "get_lf_tag"), given={"TagKey": ("TagKey",)}
    ),
    "AWS::Lambda::Function": _Named(
        call=("lambda", "get_function"),
        given={"FunctionName": ("FunctionName",)},
        absent=("ResourceNotFoundException",),
    ),
    "AWS::Logs::LogGroup": _Named(
        call=("logs", "describe_log_streams"),
        given={"logGroupName": ("LogGroupName",)},
        absent=("ResourceNotFoundException",),
    ),
    "AWS::S3::Bucket": _Named(
        call=("s3", "head_bucket"),
        given={"Bucket": ("BucketName",)},
        absent=("404", "NoSuchBucket"),
    ),
    "AWS::SageMaker::ModelPackageGroup": _Named(
        call=("sagemaker", "describe_model_package_group"),
        given={"ModelPackageGroupName": ("ModelPackageGroupName",)},
        absent=("ValidationException",),
    ),
    "AWS::SageMaker::Pipeline": _Named(
        call=("sagemaker", "describe_pipeline"),
        given={"PipelineName": ("PipelineName",)},
        absent=("ResourceNotFound", "ValidationException"),
    ),
}
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
    value: Any = resource.properties if path else resource.ref
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) else ""


def _code(error: InputError) -> str:
    response = getattr(error.__cause__, "response", {})
    return str(response.get("Error", {}).get("Code", ""))
