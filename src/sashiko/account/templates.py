"""Reads the output of `cdk synth` as typed records: the resources of an environment's stacks."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sashiko.account.intrinsics import Scope, resolve
from sashiko.account.names import prefix
from sashiko.errors import InputError
from sashiko.settings.environment import Settings

CDK_OUT = Path("cdk.out")


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A resource as CloudFormation will create it."""

    stack: str  # the name of its stack
    logical_id: str  # its id in the template
    ref: str  # the result of `Ref`: its name or ARN, or a placeholder for what AWS chooses
    properties: Mapping[str, Any]  # its properties, with every intrinsic function resolved


@dataclass(frozen=True, kw_only=True)
class Templates:
    """The templates of one environment."""

    account: str  # the account id
    region: str  # their region
    partition: str  # the partition of that region, such as `aws`
    stacks: Mapping[str, Scope]  # stack name -> its template
    bootstrap: Mapping[str, Scope]  # the stacks of `make bootstrap`

    def of_type(self, kind: str) -> Iterator[Resource]:
        """Yields the resources of a type, such as `AWS::Glue::Table`.

        Raises:
            InputError: if one of them has a condition, or uses an unknown function.
        """
        return _of_type(self.stacks, kind)

    def types(self) -> Mapping[str, str]:
        """Returns each type of resource in a stack or the bootstrap -> one stack that has it."""
        return {
            str(resource.get("Type")): stack
            for stack, scope in (*self.bootstrap.items(), *self.stacks.items())
            for resource in scope.template.get("Resources", {}).values()
        }

    def of_bootstrap(self, kind: str) -> Iterator[Resource]:
        """Yields the resources of a type in the bootstrap; errors as `of_type`."""
        return _of_type(self.bootstrap, kind)


def read_templates(settings: Settings, *, folder: Path = CDK_OUT) -> Templates:
    """Reads the stacks of an environment from the output of `cdk synth`.

    Raises:
        InputError: if there is none, it is not readable, or it is of another environment.
    """
    fix = f"run `make synth ENV={settings.environment}`"
    file = folder / "manifest.json"
    if not file.is_file():
        raise InputError(f"{folder} holds no synthesized templates: {fix}")
    stacks = dict(_stacks(_read(file, fix), folder, settings, fix))
    if not stacks:
        raise InputError(f"{folder} holds no stack: {fix}")
    scope = next(iter(stacks.values()))
    before = folder / "bootstrap"
    policies = before / "manifest.json"
    return Templates(
        account=scope.account,
        region=scope.region,
        partition=scope.partition,
        stacks=stacks,
        bootstrap=dict(_stacks(_read(policies, fix), before, settings, fix))
        if policies.is_file()
        else {},
    )


def _of_type(stacks: Mapping[str, Scope], kind: str) -> Iterator[Resource]:
    for stack, scope in stacks.items():
        for logical_id, resource in scope.template.get("Resources", {}).items():
            if resource.get("Type") != kind:
                continue
            if "Condition" in resource:
                raise InputError(
                    f"{scope.file}: {logical_id} has a condition, so the template does not tell "
                    "whether it exists; decide in Python, at synth"
                )
            yield Resource(
                stack=stack,
                logical_id=logical_id,
                ref=str(resolve({"Ref": logical_id}, scope)),
                properties=resolve(resource.get("Properties", {}), scope),
            )


def _stacks(
    manifest: Mapping[str, Any], folder: Path, settings: Settings, fix: str
) -> Iterator[tuple[str, Scope]]:
    name_prefixes = (f"{prefix(settings)}-", f"{settings.project}-bootstrap")
    expected = f"aws://{settings.account}/{settings.region}"
    for artifact_id, artifact in manifest.get("artifacts", {}).items():
        if artifact.get("type") != "aws:cloudformation:stack":
            continue
        properties = artifact["properties"]
        name = properties.get("stackName", artifact_id)
        environment = artifact.get("environment")
        if environment != expected or not name.startswith(name_prefixes):
            raise InputError(
                f"{folder} holds {name} for {environment}, not the environment "
                f"{settings.environment} ({prefix(settings)}, {expected}): {fix}"
            )
        file = folder / properties["templateFile"]
        yield (
            name,
            Scope(
                stack=name,
                file=str(file),
                account=settings.account,
                region=settings.region,
                template=_read(file, fix),
            ),
        )


def _read(file: Path, fix: str) -> Mapping[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is not readable as JSON ({error}): {fix}") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: expected a JSON object: {fix}")
    return content
