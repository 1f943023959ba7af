"""Where each role reads and writes in the artifacts bucket, from the pipeline definitions."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from sashiko.account.names import MODELS, Role, bucket_name
from sashiko.packs import load_packs, pack_objects
from sashiko.pipeline.definition.definition_records import Definition
from sashiko.pipeline.definition.graph import JobObjects, job_objects
from sashiko.registry.attestation import STATEMENTS
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.role_table import STAGED, roles_of

MLFLOW_FOLDER: Final = "mlflow"
_MODELS = f"{MODELS}/*"
_STATEMENTS = f"{STATEMENTS}/*"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Keys of the artifacts bucket, as patterns."""

    reads: tuple[str, ...] = ()  # what a role may read
    writes: tuple[str, ...] = ()  # what it may write
    deletes: tuple[str, ...] = ()  # what it may delete
    lists: tuple[str, ...] = ()  # what it may list, but neither read nor write

    def __or__(self, other: "Places") -> "Places":
        """Returns the places of both, sorted, each once."""
        return Places(
            **{
                use.name: tuple(sorted({*getattr(self, use.name), *getattr(other, use.name)}))
                for use in fields(self)
            }
        )


# Places that the definitions do not name.
_BESIDE: Mapping[Role, Places] = {
    # Before a run: is all of it staged?
    "data-scientist": Places(lists=STAGED),
    # It reads back what it staged, to compare its checksum with its name.
    "deployer": Places(reads=STAGED, writes=STAGED),
    # It uses no image that it has not vouched for.
    "image-build-starter": Places(reads=(_STATEMENTS,), writes=(_STATEMENTS,)),
    # The version that the serving stack serves.
    "inference": Places(reads=(_MODELS,)),
    "mlflow": Places(
        reads=(f"{MLFLOW_FOLDER}/*",),
        writes=(f"{MLFLOW_FOLDER}/*",),
        deletes=(f"{MLFLOW_FOLDER}/*",),
    ),
    # It reads nothing: the gatekeeper function evaluates its gates and has its own permissions.
    "pipeline": Places(),
    "preflight": Places(reads=(_MODELS,)),
    # The signed files of a version, which the Register step writes.
    "registrar": Places(reads=(_STATEMENTS,), writes=(_MODELS,)),
    # The approved version, which the registry names.
    "registry-reader": Places(reads=(_MODELS,)),
}


def artifact_places(settings: Settings, definitions: Sequence[Definition]) -> Mapping[Role, Places]:
    """Returns where each role reads and writes.

    Staged files are allowed by folder: an execution of the previous definition still needs its
    files after a deploy. Outputs of a step are allowed one by one, in any execution, and by step
    where a role has all of them: a managed policy is limited to 6,144 characters ("IAM and AWS STS
    quotas", IAM User Guide).

    Raises:
        InputError: if a definition's references are wrong.
    """
    bucket = f"s3://{bucket_name(settings, 'artifacts')}/"
    jobs = [job for definition in definitions for job in job_objects(definition)]
    outputs = sorted({key for job in jobs for key in _keys(job.writes, bucket)})
    places: dict[Role, Places] = {}
    for role in roles_of(settings, "job"):
        own = [job for job in jobs if job.role == settings.role_arn(role)]
        reads = {_pattern(key, outputs) for job in own for key in _keys(job.reads, bucket)}
        writes = {_pattern(key, outputs) for job in own for key in _keys(job.writes, bucket)}
        places[role] = Places(reads=_by_step(reads, outputs), writes=_by_step(writes, outputs))
    others = dict(_BESIDE)
    if settings.promotion.source:
        others["promoter"] = Places(writes=(_MODELS,))
    derived = (
        *_model_of_device_check(settings, jobs, outputs),
        *_of_packs(settings, jobs, outputs),
    )
    for role, extra in (*others.items(), *derived):
        places[role] = places.get(role, Places()) | extra
    return dict(sorted(places.items()))


def _model_of_device_check(
    settings: Settings, jobs: Iterable[JobObjects], outputs: Sequence[str]
) -> Iterator[tuple[Role, Places]]:
    """Yields what SageMaker does for DeviceCheck with the role of the model.

    SageMaker reads the artifact with the model's role, for batch transform jobs as well
    (`ExecutionRoleArn` of "CreateModel", SageMaker API Reference). Such a job has no role of its
    own ("CreateTransformJob"), so rows and answers pass by the model's. The check reads
    the answers.
    """
    bucket = f"s3://{bucket_name(settings, 'artifacts')}/"
    for job in jobs:
        if job.role == settings.role_arn("device-check"):
            for key in _keys(job.arguments.values(), bucket):
                pattern = _pattern(key, outputs)
                yield "inference", Places(reads=(pattern,))
                if not any(_inside(key, outputs)):  # scratch of the batch job
                    yield "inference", Places(writes=(pattern,))
                    yield "device-check", Places(reads=(pattern,))


def _of_packs(
    settings: Settings, jobs: Iterable[JobObjects], outputs: Sequence[str]
) -> Iterator[tuple[Role, Places]]:
    """Yields what packs read of what a job names by its arguments."""
    bucket = f"s3://{bucket_name(settings, 'artifacts')}/"
    more_readers = pack_objects("artifact_readers", load_packs(settings.packs, source="settings"))
    for job in jobs:
        for readers in more_readers:
            for role, uri in readers(settings, job):
                for key in _keys((uri,), bucket):
                    yield role, Places(reads=(_pattern(key, outputs),))


def _keys(uris: Iterable[str], bucket: str) -> Iterator[str]:
    for uri in uris:
        if uri.startswith(bucket):
            yield uri.removeprefix(bucket)


def _pattern(key: str, outputs: Sequence[str]) -> str:
    """Returns the pattern of an input or output: a staged folder, an output or a prefix."""
    for folder in STAGED:
        if key.startswith(folder.removesuffix("*")):
            return folder
    return f"{next(_inside(key, outputs), key)}/*"


def _inside(key: str, outputs: Sequence[str]) -> Iterator[str]:
    for output in outputs:
        if key == output or key.startswith(f"{output}/"):
            yield output


def _by_step(patterns: set[str], outputs: Sequence[str]) -> tuple[str, ...]:
    """Replaces the patterns of all outputs of a step, where it has several, by one."""
    shorter = set(patterns)
    for step in {output.rpartition("/")[0] for output in outputs}:
        complete = {f"{output}/*" for output in outputs if output.rpartition("/")[0] == step}
        if len(complete) > 1 and complete <= patterns:
            shorter = shorter - complete | {f"{step}/*"}
    return tuple(sorted(shorter))
