"""CodePipeline. Nothing runs a pipeline here: its structure is judged, as CodePipeline does.

The rules are those of "CodePipeline pipeline structure reference" and of the API's model.
"""

import re
from collections.abc import Iterator
from typing import Any

from ..engine.errors import AbsentError, ResourceError
from ..engine.resources import Place, Properties, ResourceType, changed_tags
from .iam import check_assumable

_NAME = re.compile(r"[A-Za-z0-9.@\-_]{1,100}")
_ARTIFACT = re.compile(r"[a-zA-Z0-9_\-]{1,100}")
_VARIABLE = re.compile(r"#\{([A-Za-z0-9@\-_]+)\.[A-Za-z0-9@\-_]+\}")
# Maps of texts whose keys are the providers' own.
_KEPT = ("Configuration",)


class Pipeline(ResourceType):
    name = "AWS::CodePipeline::Pipeline"
    updated = frozenset(
        {"ArtifactStore", "ExecutionMode", "PipelineType", "RestartExecutionOnUpdate", "RoleArn",
         "Stages", "Tags"}
    )  # fmt: skip
    handled = updated | {"Name"}

    def create(self, place: Place, desired: Properties) -> str:
        pipelines = place.aws("codepipeline")
        name = desired.get("Name") or place.generated_name(100)
        if name in {item["name"] for item in pipelines.list_pipelines()["pipelines"]}:
            raise ResourceError(f"A pipeline with the name '{name}' already exists")
        tags = [{"key": t["Key"], "value": t["Value"]} for t in desired.get("Tags", [])]
        pipelines.create_pipeline(pipeline=_declaration(place, name, desired), tags=tags)
        # "Create a pipeline, stages, and actions", CodePipeline User Guide: it starts to run.
        pipelines.start_pipeline_execution(name=name)
        return str(name)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        pipelines = place.aws("codepipeline")
        pipelines.update_pipeline(pipeline=_declaration(place, physical_id, new))
        arn = self.arn(place, physical_id)
        removed_keys, tags = changed_tags(old, new)
        pipelines.untag_resource(resourceArn=arn, tagKeys=removed_keys)
        pairs = [{"key": tag["Key"], "value": tag["Value"]} for tag in tags]
        pipelines.tag_resource(resourceArn=arn, tags=pairs)
        if new.get("RestartExecutionOnUpdate"):
            pipelines.start_pipeline_execution(name=physical_id)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("codepipeline").delete_pipeline(name=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        pipelines = place.aws("codepipeline")
        if physical_id not in {item["name"] for item in pipelines.list_pipelines()["pipelines"]}:
            raise AbsentError(f"no pipeline {physical_id}")
        pipeline = _upper(pipelines.get_pipeline(name=physical_id)["pipeline"])
        tags = pipelines.list_tags_for_resource(resourceArn=self.arn(place, physical_id))["tags"]
        return {
            **{key: pipeline.get(key) for key in self.handled - {"Tags"}},
            # The API does not know it: it is CloudFormation's own.
            "RestartExecutionOnUpdate": desired.get("RestartExecutionOnUpdate"),
            "Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in tags],
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        version = place.aws("codepipeline").get_pipeline(name=physical_id)["pipeline"]["version"]
        return {"Arn": self.arn(place, physical_id), "Version": str(version)}

    def arn(self, place: Place, name: str) -> str:
        return f"arn:aws:codepipeline:{place.region}:{place.account}:{name}"


def _declaration(place: Place, name: str, desired: Properties) -> dict[str, Any]:
    """Returns the API's form of a pipeline that CodePipeline would take."""
    check_assumable(place, desired["RoleArn"], "codepipeline.amazonaws.com")
    stages = desired["Stages"]
    for problem in _problems(stages):
        raise ResourceError(f"Invalid pipeline structure: {problem}")
    left_out = ("RestartExecutionOnUpdate", "Tags")
    kept = {key: value for key, value in desired.items() if key not in left_out}
    declaration: dict[str, Any] = _lower({**kept, "Name": name})
    return declaration


def _problems(stages: list[Properties]) -> Iterator[str]:
    names = [stage["Name"] for stage in stages]
    if len(stages) < 2:
        yield "a pipeline has at least two stages"
    if len(set(names)) < len(names):
        yield "two stages have one name"
    outputs: set[str] = set()
    namespaces: set[str] = set()
    for number, stage in enumerate(stages):
        if stage.keys() & {"BeforeEntry", "OnFailure", "OnSuccess"}:
            yield f"stage {stage['Name']}: the emulator evaluates no conditions"
        actions = stage["Actions"]
        if len({action["Name"] for action in actions}) < len(actions):
            yield f"stage {stage['Name']}: two actions have one name"
        new: set[str] = set()
        for action in actions:
            yield from _action_problems(action, first=number == 0, outputs=outputs)
            yield from _unknown_variables(action.get("Configuration"), namespaces, action["Name"])
            made = {item["Name"] for item in action.get("OutputArtifacts", [])}
            if made & (outputs | new):
                yield f"two actions write the artifact {', '.join(made & (outputs | new))}"
            new |= made
        outputs |= new
        namespaces |= {action["Namespace"] for action in actions if "Namespace" in action}


def _action_problems(action: Properties, *, first: bool, outputs: set[str]) -> Iterator[str]:
    name, category = action["Name"], action["ActionTypeId"]["Category"]
    if not _NAME.fullmatch(name):
        yield f"the name {name} is not valid"
    if (category == "Source") is not first:
        yield f"{name}: the first stage has the sources, and no other one has any"
    for artifact in action.get("InputArtifacts", []):
        if artifact["Name"] not in outputs:
            yield f"{name} reads {artifact['Name']}, which no earlier stage writes"
    for artifact in action.get("OutputArtifacts", []):
        if not _ARTIFACT.fullmatch(artifact["Name"]):
            yield f"{name}: the artifact's name {artifact['Name']} is not valid"
    if category == "Approval" and (action.get("InputArtifacts") or action.get("OutputArtifacts")):
        yield f"{name}: an approval has no artifacts"


def _unknown_variables(value: Any, namespaces: set[str], where: str) -> Iterator[str]:
    """Yields what a value takes from an action that has not run before."""
    for namespace in _VARIABLE.findall(str(value)):
        if namespace not in namespaces:
            yield f"{where} takes a variable of {namespace}, which no earlier stage has"


def _lower(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key[0].lower() + key[1:]: item if key in _KEPT else _lower(item)
            for key, item in value.items()
        }
    return [_lower(item) for item in value] if isinstance(value, list) else value


def _upper(value: Any) -> Any:
    if isinstance(value, dict):
        pairs = {key[0].upper() + key[1:]: item for key, item in value.items()}
        return {key: item if key in _KEPT else _upper(item) for key, item in pairs.items()}
    return [_upper(item) for item in value] if isinstance(value, list) else value


TYPES = (Pipeline,)
