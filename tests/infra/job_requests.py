"""The requests that SageMaker Pipelines makes for the jobs of a definition, as IAM sees them."""

import fnmatch
from collections.abc import Iterator, Mapping
from typing import Any

Json = dict[str, Any]
Context = dict[str, list[str]]
# A request has KMS keys under the older names of their condition keys, or under the newer ones.
NAMES = ("", "Arn")


def jobs_of(definition: Json) -> dict[str, Json]:
    """Step -> arguments, of those that run a job, in branches too."""
    steps = {step["Name"]: step["Arguments"] for step in _steps(definition["Steps"])}
    return {name: arguments for name, arguments in steps.items() if "RoleArn" in arguments}


def _steps(steps: list[Json]) -> Iterator[Json]:
    for step in steps:
        yield step
        for branch in ("IfSteps", "ElseSteps"):
            yield from _steps(step.get("Arguments", {}).get(branch, []))


def call_of(job: Json) -> str:
    kind = "Processing" if "AppSpecification" in job else "Training"
    return f"sagemaker:Create{kind}Job"


def context(job: Json) -> Context:
    """The condition keys of such a call, of those that the service authorization reference lists.

    A key whose member is not in the request is not in the context either.
    """
    network = job.get("NetworkConfig", job)
    cluster = job.get("ResourceConfig") or job["ProcessingResources"]["ClusterConfig"]
    output = job.get("OutputDataConfig") or job["ProcessingOutputConfig"]
    vpc = network.get("VpcConfig", {})
    keys = {
        "VpcSubnets": vpc.get("Subnets"),
        "VpcSecurityGroupIds": vpc.get("SecurityGroupIds"),
        "VolumeKmsKey": cluster.get("VolumeKmsKeyId"),
        "OutputKmsKey": output.get("KmsKeyId"),
        "InterContainerTrafficEncryption": network.get("EnableInterContainerTrafficEncryption"),
        "InstanceTypes": cluster.get("InstanceType"),
        "MaxRuntimeInSeconds": job.get("StoppingCondition", {}).get("MaxRuntimeInSeconds"),
    }
    return texts(keys)


def rename_kms_keys(keys: Context, suffix: str) -> Context:
    """The same condition keys, those of KMS keys with a suffix: "" the older names, "Arn"."""
    return {f"{key}{suffix}" if key.endswith("KmsKey") else key: v for key, v in keys.items()}


def texts(keys: Mapping[str, Any]) -> Context:
    """Condition keys of SageMaker as IAM compares them, of those that a request has."""
    return {f"sagemaker:{key}": _texts(value) for key, value in keys.items() if value is not None}


def _texts(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in values]


def denials(document: Json, job: Json, suffix: str = "") -> set[str]:
    """The ids of the statements of a policy that deny a job."""
    return denied_by(document, call_of(job), rename_kms_keys(context(job), suffix))


def denied_by(document: Json, call: str, keys: Context) -> set[str]:
    """The ids of the statements of a policy that deny a call with these condition keys.

    The operators are worked out as IAM's reference describes them; one that is not known here is a
    KeyError, and no statement that quietly holds or does not.
    """
    return {
        statement["Sid"]
        for statement in document["Statement"]
        if statement["Effect"] == "Deny"
        and call in statement["Action"]
        and all(
            _holds(operator, operand, keys.get(key))
            for operator, pairs in statement.get("Condition", {}).items()
            for key, operand in pairs.items()
        )
    }


def _holds(operator: str, operand: Any, values: list[str] | None) -> bool:
    words = [str(item) for item in (operand if isinstance(operand, list) else [operand])]
    if operator == "Null":
        return (values is None) == (words == ["true"])
    quantifier, _, name = operator.rpartition(":")
    if values is None:
        # A negated operator holds of a key that is not there; with ForAnyValue nothing holds.
        return not quantifier and ("Not" in name or name.endswith("IfExists"))
    compare = _OPERATORS[name.removesuffix("IfExists")]
    return any(compare(value, words) for value in values)


_OPERATORS: Mapping[str, Any] = {
    "Bool": lambda value, words: value in words,
    "NumericGreaterThan": lambda value, words: any(float(value) > float(w) for w in words),
    "StringNotEquals": lambda value, words: value not in words,
    "StringNotLike": lambda value, words: not any(fnmatch.fnmatchcase(value, w) for w in words),
    "ArnNotLike": lambda value, words: not any(fnmatch.fnmatchcase(value, w) for w in words),
}
