"""What SageMaker asks of a job's arguments together, which no shape of its API says.

The sources are pages of the SageMaker API Reference and the Developer Guide, below
https://docs.aws.amazon.com/sagemaker/latest/; each rule names its own.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sashiko.aws.resources.instances import has_local_disk
from sashiko.errors import InputError
from sashiko.pipeline.definition.expressions import is_expression
from sashiko.pipeline.definition.model import Step
from sashiko.pipeline.definition.validator.arguments import Resolve
from sashiko.pipeline.definition.validator.unknown import Anything, is_known

_DAY = 86_400  # seconds
# APIReference/API_StoppingCondition: "The default value is 1 day. The maximum value is 28 days."
_DEFAULT_RUNTIME, _LONGEST_RUNTIME = _DAY, 28 * _DAY
_PROCESSING = "/opt/ml/processing"
# APIReference/API_AlgorithmSpecification, `TrainingImage`: registry/repository[:tag] or
# registry/repository[@digest]; the registry is ECR's but where a training says otherwise.
_PART = r"[a-z0-9]+(?:[._-][a-z0-9]+)*"
_IMAGE = re.compile(
    rf"\d{{12}}\.dkr\.ecr(?:-fips)?\.[a-z0-9-]+\.amazonaws\.com(?:\.cn)?/{_PART}(?:/{_PART})*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


class Arguments:
    """A job's arguments, with expressions replaced by what is known of them."""

    def __init__(self, step: Step, resolve: Resolve) -> None:
        """Takes a step of a job, and what returns an expression's value."""
        self.step = step
        self._resolve = resolve

    def get(self, *path: str, of: Any = None) -> Any:
        """Returns the value at a path, or None if there is none or only a run can know it.

        Args:
            path: keys.
            of: where the path begins; the arguments themselves if None.
        """
        value = self.step.arguments if of is None else of
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if is_expression(value):
            try:
                value = self._resolve(value, "")
            except InputError:  # it is said of the argument itself
                return None
        return value if is_known(value) and not isinstance(value, Anything) else None

    def each(self, *path: str) -> list[Any]:
        """Returns the items of the list at a path, none if there is no list."""
        items = self.get(*path)
        return items if isinstance(items, list) else []

    def where(self, place: str) -> str:
        """Names a place in the arguments."""
        return f"step `{self.step.name}`, Arguments.{place}"


def check_job_rules(step: Step, *, resolve: Resolve) -> Iterator[str]:
    """Yields what is wrong between the arguments of a job.

    Args:
        step: a Processing or Training step; what is not of the right shape is left to others.
        resolve: returns what an expression stands for, or a stand-in.
    """
    arguments = Arguments(step, resolve)
    yield from _check_tags(arguments)
    if step.type == "Training":
        yield from _check_times(arguments)
        yield from _check_warm_pool(arguments)
        yield from _check_volume(arguments, "ResourceConfig")
        yield from _check_image(arguments, "AlgorithmSpecification.TrainingImage")
    else:
        yield from _check_volume(arguments, "ProcessingResources.ClusterConfig")
        yield from _check_image(arguments, "AppSpecification.ImageUri")
        yield from _check_paths(arguments)


def _check_times(arguments: Arguments) -> Iterator[str]:
    """APIReference/API_StoppingCondition, and dg/model-managed-spot-training."""
    longest = arguments.get("StoppingCondition", "MaxRuntimeInSeconds")
    wait = arguments.get("StoppingCondition", "MaxWaitTimeInSeconds")
    given = arguments.get("StoppingCondition") or {}
    if _is_number(longest) and longest > _LONGEST_RUNTIME:
        yield (
            f"{arguments.where('StoppingCondition.MaxRuntimeInSeconds')}: {longest}; a training "
            f"job runs for at most {_LONGEST_RUNTIME} seconds, which are 28 days"
        )
    if arguments.get("EnableManagedSpotTraining") is not True:
        return
    place = arguments.where("StoppingCondition.MaxWaitTimeInSeconds")
    if "MaxWaitTimeInSeconds" not in given:
        yield (
            f"{place}: is missing, and managed spot training needs it: the seconds in which the "
            "job must end, the wait for capacity included"
        )
    least = longest if "MaxRuntimeInSeconds" in given else _DEFAULT_RUNTIME
    if _is_number(wait) and _is_number(least) and wait < least:
        default = "" if "MaxRuntimeInSeconds" in given else ", the default of a day"
        yield (
            f"{place}: {wait}, less than MaxRuntimeInSeconds ({least}{default}), which it "
            "includes; raise it, or lower MaxRuntimeInSeconds"
        )


def _check_warm_pool(arguments: Arguments) -> Iterator[str]:
    """dg/train-warm-pools, "Considerations": none with spot instances."""
    kept = arguments.get("ResourceConfig", "KeepAlivePeriodInSeconds")
    if _is_number(kept) and kept > 0 and arguments.get("EnableManagedSpotTraining") is True:
        yield (
            f"{arguments.where('ResourceConfig.KeepAlivePeriodInSeconds')}: {kept}, and managed "
            "spot training has no warm pool; take one of the two away"
        )


def _check_volume(arguments: Arguments, place: str) -> Iterator[str]:
    """APIReference/API_ResourceConfig and API_ProcessingClusterConfig, `VolumeKmsKeyId`."""
    config = arguments.get(*place.split("."))
    instance = arguments.get("InstanceType", of=config or {})
    if not isinstance(instance, str) or "." not in instance or not has_local_disk(instance):
        return
    if "VolumeKmsKeyId" in config:
        yield (
            f"{arguments.where(place)}.VolumeKmsKeyId: {instance} has disks of its own, which the "
            "machine encrypts; SageMaker refuses a key for them: take it away"
        )


def _check_image(arguments: Arguments, place: str) -> Iterator[str]:
    image = arguments.get(*place.split("."))
    # A job may take its image from a private registry in the VPC, where it says so.
    elsewhere = arguments.get("AlgorithmSpecification", "TrainingImageConfig")
    if isinstance(image, str) and not _IMAGE.fullmatch(image) and not elsewhere:
        yield (
            f"{arguments.where(place)}: `{image}` is no image of ECR, such as 111122223333.dkr."
            "ecr.us-east-1.amazonaws.com/repository:tag or .../repository@sha256:..."
        )


def _check_paths(arguments: Arguments) -> Iterator[str]:
    """APIReference/API_ProcessingS3Input, `LocalPath`; outputs are mounted from there too.

    Two with one folder are refused without a word of it: sagemaker-python-sdk #4939, #1950.
    """
    users: dict[str, str] = {}
    inputs = arguments.each("ProcessingInputs")
    outputs = arguments.each("ProcessingOutputConfig", "Outputs")
    places = [
        *(("ProcessingInputs", index, item, "S3Input") for index, item in enumerate(inputs)),
        *(
            ("ProcessingOutputConfig.Outputs", index, item, "S3Output")
            for index, item in enumerate(outputs)
        ),
    ]
    for list_, index, item, key in places:
        path = arguments.get(key, "LocalPath", of=item)
        if not isinstance(path, str):
            continue
        where = arguments.where(f"{list_}[{index}].{key}.LocalPath")
        folder = path.rstrip("/")
        if not folder.startswith(f"{_PROCESSING}/") or ".." in folder.split("/"):
            yield f"{where}: `{path}` does not lie below {_PROCESSING}/, as a job's folders must"
        elif folder in users:
            yield f"{where}: `{path}` is the folder of {users[folder]} too; give each its own"
        users[folder] = f"{list_}[{index}]"


def _check_tags(arguments: Arguments) -> Iterator[str]:
    """APIReference/API_Tag: keys are unique; in every service AWS keeps the prefix `aws:`.

    The latter in any case of its letters: AWS Batch User Guide, "Tag restrictions", among others.
    """
    seen: dict[str, int] = {}
    for index, tag in enumerate(arguments.each("Tags")):
        key = arguments.get("Key", of=tag)
        if not isinstance(key, str):
            continue
        where = arguments.where(f"Tags[{index}].Key")
        if key.lower().startswith("aws:"):
            yield f"{where}: `{key}`: AWS keeps keys that begin with `aws:` for itself; rename it"
        if key in seen:
            yield f"{where}: `{key}` is the key of Tags[{seen[key]}] too; a tag's key is used once"
        seen.setdefault(key, index)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
