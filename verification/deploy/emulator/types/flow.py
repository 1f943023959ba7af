"""EventBridge, Step Functions, Lambda, and CodePipeline.

Nothing runs a pipeline here: its structure is judged, as CodePipeline does, by the rules of
"CodePipeline pipeline structure reference" and of the API's model.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from ..engine.resources import AbsentError, Place, Properties, ResourceError, ResourceType
from .api import Api, call, described, read_tags, retag, words
from .identity import check_assumable

_DEFAULT = "default"


def _names(physical_id: str) -> dict[str, str]:
    """Names a rule, as the operations of its targets do."""
    bus, _, name = physical_id.rpartition("|")
    return {"Rule": name, "EventBusName": bus or _DEFAULT}


class Rule(ResourceType):
    name = "AWS::Events::Rule"
    updated = words("Description EventPattern ScheduleExpression State Tags Targets")
    handled = updated | {"EventBusName", "Name"}

    def create(self, place: Place, desired: Properties) -> str:
        name = desired.get("Name") or place.generated_name(64)
        bus = desired.get("EventBusName", _DEFAULT)
        if bus != _DEFAULT and "ScheduleExpression" in desired:
            raise ResourceError("ScheduleExpression is supported only on the default event bus.")
        # PutRule changes a rule of the same name, where CloudFormation refuses.
        known = place.aws("events").list_rules(NamePrefix=name, EventBusName=bus)["Rules"]
        if name in {rule["Name"] for rule in known}:
            raise ResourceError(f"{name} already exists")
        # "Return values" of AWS::Events::Rule, CloudFormation Template Reference.
        physical_id = name if bus == _DEFAULT else f"{bus}|{name}"
        self._put(place, physical_id, desired)
        place.created_ids.append(physical_id)
        self._target(place, physical_id, desired)
        retag(place, "events", self.arn(place, physical_id), {}, desired)
        return str(physical_id)

    def _put(self, place: Place, physical_id: str, desired: Properties) -> None:
        keys = ("Description", "EventPattern", "ScheduleExpression", "State")
        rule = {"Description": "", "State": "ENABLED"} | {
            k: desired[k] for k in keys if k in desired
        }
        names = _names(physical_id)
        rule |= {"Name": names["Rule"], "EventBusName": names["EventBusName"]}
        call(place.aws("events"), "put_rule", rule)

    def _target(self, place: Place, physical_id: str, desired: Properties) -> None:
        for target in desired.get("Targets", []):
            if "RoleArn" in target:
                check_assumable(place, target["RoleArn"], "events.amazonaws.com")
            place.aws("events").put_targets(**_names(physical_id), Targets=[target])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        self._put(place, physical_id, new)
        before, after = ({item["Id"] for item in side.get("Targets", [])} for side in (old, new))
        if removed := sorted(before - after):
            place.aws("events").remove_targets(**_names(physical_id), Ids=removed)
        self._target(place, physical_id, new)
        retag(place, "events", self.arn(place, physical_id), old, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        events, names = place.aws("events"), _names(physical_id)
        if targets := events.list_targets_by_rule(**names)["Targets"]:
            events.remove_targets(**names, Ids=[item["Id"] for item in targets])
        events.delete_rule(Name=names["Rule"], EventBusName=names["EventBusName"])

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        events, names = place.aws("events"), _names(physical_id)
        rule = events.describe_rule(Name=names["Rule"], EventBusName=names["EventBusName"])
        targets = events.list_targets_by_rule(**names)["Targets"]
        tags = read_tags(place, "events", rule["Arn"])
        answer = {**rule, "EventBusName": names["EventBusName"], "Tags": tags}
        return {**described(self.name, place, answer), "Targets": targets}

    def arn(self, place: Place, physical_id: str) -> str:
        name = physical_id.replace("|", "/")
        return f"arn:aws:events:{place.region}:{place.account}:rule/{name}"

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, str]:
        return {"Arn": self.arn(place, physical_id)}


class EventBus(Api):
    def create(self, place: Place, desired: Properties) -> str:
        name = super().create(place, desired)
        self._permit(place, name, desired)
        return name

    def _permit(self, place: Place, name: str, desired: Properties) -> None:
        if "Policy" in desired:
            policy = json.dumps(desired["Policy"])
            place.aws("events").put_permission(EventBusName=name, Policy=policy)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        if "Policy" in old:
            place.aws("events").remove_permission(
                EventBusName=physical_id, RemoveAllPermissions=True
            )
        self._permit(place, physical_id, new)
        retag(place, "events", self._format(self.tags, place, physical_id, new), old, new)


class StateMachine(Api):
    def create(self, place: Place, desired: Properties) -> str:
        machines = place.aws("stepfunctions").list_state_machines()["stateMachines"]
        name = desired.get("StateMachineName")
        # CreateStateMachine returns an existing one of the same name and definition.
        if name in {item["name"] for item in machines}:
            raise ResourceError(f"State Machine Already Exists: {name}")
        _check_machine(place, desired)
        return super().create(place, desired)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        _check_machine(place, new)
        super().update(place, physical_id, old, new)


def _check_machine(place: Place, desired: Properties) -> None:
    """Refuses a role or a log group, as Step Functions does."""
    check_assumable(place, desired["RoleArn"], "states.amazonaws.com")
    for item in desired.get("LoggingConfiguration", {}).get("Destinations", []):
        arn = item["CloudWatchLogsLogGroup"]["LogGroupArn"]
        name = arn.split(":log-group:")[-1].removesuffix(":*")
        log_groups = place.aws("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        if name not in {item["logGroupName"] for item in log_groups} or not arn.endswith(":*"):
            raise ResourceError(f"Invalid Logging Configuration: log destination not found: {arn}")


class Function(Api):
    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        lambda_, by_name = place.aws("lambda"), {"FunctionName": physical_id}
        if old["Code"] != new["Code"]:
            lambda_.update_function_code(**by_name, **new["Code"])
        settings = self.updated - {"Code", "Tags"} & new.keys()
        lambda_.update_function_configuration(**by_name, **{k: new[k] for k in settings})
        retag(place, "lambda", self._format(self.tags, place, physical_id, new), old, new)


class Permission(ResourceType):
    name = "AWS::Lambda::Permission"
    handled = frozenset({"Action", "FunctionName", "Principal", "SourceAccount", "SourceArn"})

    def create(self, place: Place, desired: Properties) -> str:
        identifier = place.generated_name(100)
        place.aws("lambda").add_permission(StatementId=identifier, **desired)
        return identifier

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("lambda").remove_permission(
            FunctionName=properties["FunctionName"], StatementId=physical_id
        )

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        policy = place.aws("lambda").get_policy(FunctionName=desired["FunctionName"])["Policy"]
        for statement in json.loads(policy)["Statement"]:
            if statement["Sid"] == physical_id:
                # A template may give the name where the policy has the ARN.
                named = (statement["Resource"], statement["Resource"].rpartition(":")[2])
                principal, conditions = statement["Principal"], statement.get("Condition", {})
                return {
                    "Action": statement["Action"],
                    "FunctionName": named[":" not in desired["FunctionName"]],
                    "Principal": principal if isinstance(principal, str) else principal["Service"],
                    "SourceAccount": conditions.get("StringEquals", {}).get("AWS:SourceAccount"),
                    "SourceArn": conditions.get("ArnLike", {}).get("AWS:SourceArn"),
                }
        raise AbsentError(f"{desired['FunctionName']} has no permission {physical_id}")


class Pipeline(Api):
    """The declaration of its stages is one argument of the API's."""

    def create(self, place: Place, desired: Properties) -> str:
        check_pipeline(place, desired)
        pipelines = place.aws("codepipeline")
        name = desired.get("Name") or place.generated_name(100)
        if name in {item["name"] for item in pipelines.list_pipelines()["pipelines"]}:
            raise ResourceError(f"A pipeline with the name '{name}' already exists")
        arguments = {"Pipeline": self._declaration(name, desired), "Tags": desired.get("Tags", [])}
        call(pipelines, "create_pipeline", arguments)
        # "Create a pipeline, stages, and actions", CodePipeline User Guide: it starts to run.
        pipelines.start_pipeline_execution(name=name)
        return str(name)

    def _declaration(self, name: str, desired: Properties) -> Properties:
        own = ("RestartExecutionOnUpdate", "Tags")
        return {**{key: item for key, item in desired.items() if key not in own}, "Name": name}

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        check_pipeline(place, new)
        pipelines = place.aws("codepipeline")
        call(pipelines, "update_pipeline", {"Pipeline": self._declaration(physical_id, new)})
        retag(place, "codepipeline", self._format(self.tags, place, physical_id, new), old, new)
        if new.get("RestartExecutionOnUpdate"):
            pipelines.start_pipeline_execution(name=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        pipelines = place.aws("codepipeline").list_pipelines()["pipelines"]
        if physical_id not in {item["name"] for item in pipelines}:
            raise AbsentError(f"no pipeline {physical_id}")
        # The API does not know it: it is CloudFormation's own.
        own = {"RestartExecutionOnUpdate": desired.get("RestartExecutionOnUpdate")}
        return {**super().read(place, physical_id, desired), **own}

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {"Version": str(self._answer(place, physical_id)["version"])}


def check_pipeline(place: Place, desired: Properties) -> None:
    """Refuses a pipeline that CodePipeline would not take."""
    check_assumable(place, desired["RoleArn"], "codepipeline.amazonaws.com")
    for problem in _problems(desired["Stages"]):
        raise ResourceError(f"Invalid pipeline structure: {problem}")


_NAME = re.compile(r"[A-Za-z0-9.@\-_]{1,100}")
_ARTIFACT = re.compile(r"[a-zA-Z0-9_\-]{1,100}")
_VARIABLE = re.compile(r"#\{([A-Za-z0-9@\-_]+)\.[A-Za-z0-9@\-_]+\}")


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


_BUS = "arn:aws:events:{region}:{account}:event-bus/{id}"
_FUNCTION = "arn:aws:lambda:{region}:{account}:function:{id}"
TYPES = (
    Pipeline(
        name="AWS::CodePipeline::Pipeline", service="codepipeline", noun="pipeline", by="name",
        result="pipeline",
        updated=words(
            "ArtifactStore ExecutionMode PipelineType RestartExecutionOnUpdate RoleArn Stages Tags"
        ),
        more=words("Name"), tags="arn:aws:codepipeline:{region}:{account}:{id}",
    ),
    EventBus(
        name="AWS::Events::EventBus", service="events", noun="event_bus", by="Name",
        calls={"get": "describe_event_bus"}, left_out=words("Policy"),
        updated=words("Policy Tags"), more=words("Description Name"), tags=_BUS,
        values={"Arn": _BUS, "Name": "{id}"},
    ),
    Function(
        name="AWS::Lambda::Function", service="lambda", noun="function", by="FunctionName",
        named="FunctionName", limit=64, unique=True, result="Configuration",
        # Neither Environment nor VpcConfig: no function of ours has one.
        updated=words("Code Description Handler MemorySize Role Runtime Tags Timeout"),
        more=words("Architectures FunctionName LoggingConfig"), tags=_FUNCTION,
        values={"Arn": _FUNCTION},
    ),
    Permission(),
    Rule(),
    StateMachine(
        name="AWS::StepFunctions::StateMachine", service="stepfunctions", noun="state_machine",
        by="stateMachineArn", calls={"get": "describe_state_machine"}, limit=80,
        named="StateMachineName", id_path="stateMachineArn",
        renamed={"StateMachineName": "name", "StateMachineType": "type",
                 "DefinitionString": "definition"},
        updated=words("DefinitionString LoggingConfiguration RoleArn Tags"),
        more=words("StateMachineName StateMachineType"), tags="{id}",
        values={"Arn": "{id}", "Name": "{end}"},
    ),
)  # fmt: skip
