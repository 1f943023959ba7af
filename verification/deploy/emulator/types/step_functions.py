"""Step Functions."""

from ..engine.errors import ResourceError
from ..engine.resources import Place, Properties, ResourceType, changed_tags
from .iam import check_assumable

_STATES = "states.amazonaws.com"


class StateMachine(ResourceType):
    name = "AWS::StepFunctions::StateMachine"
    updated = frozenset({"DefinitionString", "LoggingConfiguration", "RoleArn", "Tags"})
    handled = updated | {"StateMachineName", "StateMachineType"}

    def create(self, at: Place, wanted: Properties) -> str:
        machines = at.aws("stepfunctions")
        name = wanted.get("StateMachineName") or at.generated_name(80)
        # CreateStateMachine returns one of the same name and definition: it makes no second.
        if name in {item["name"] for item in machines.list_state_machines()["stateMachines"]}:
            raise ResourceError(f"State Machine Already Exists: {name}")
        check_assumable(at, wanted["RoleArn"], _STATES)
        return str(
            machines.create_state_machine(
                name=name,
                type=wanted.get("StateMachineType", "STANDARD"),
                definition=wanted["DefinitionString"],
                roleArn=wanted["RoleArn"],
                loggingConfiguration=_logging(at, wanted),
                tags=[{"key": t["Key"], "value": t["Value"]} for t in wanted.get("Tags", [])],
            )["stateMachineArn"]
        )

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        machines = at.aws("stepfunctions")
        check_assumable(at, new["RoleArn"], _STATES)
        machines.update_state_machine(
            stateMachineArn=physical_id,
            definition=new["DefinitionString"],
            roleArn=new["RoleArn"],
            loggingConfiguration=_logging(at, new),
        )
        gone, tags = changed_tags(old, new)
        machines.untag_resource(resourceArn=physical_id, tagKeys=gone)
        pairs = [{"key": tag["Key"], "value": tag["Value"]} for tag in tags]
        machines.tag_resource(resourceArn=physical_id, tags=pairs)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("stepfunctions").delete_state_machine(stateMachineArn=physical_id)

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        machines = at.aws("stepfunctions")
        found = machines.describe_state_machine(stateMachineArn=physical_id)
        tags = machines.list_tags_for_resource(resourceArn=physical_id)["tags"]
        logs = found.get("loggingConfiguration", {})
        groups = [item["cloudWatchLogsLogGroup"] for item in logs.get("destinations", [])]
        return {
            "StateMachineName": found["name"],
            "StateMachineType": found["type"],
            "DefinitionString": found["definition"],
            "RoleArn": found["roleArn"],
            "LoggingConfiguration": {
                "Level": logs.get("level"),
                "IncludeExecutionData": logs.get("includeExecutionData"),
                "Destinations": [
                    {"CloudWatchLogsLogGroup": {"LogGroupArn": group["logGroupArn"]}}
                    for group in groups
                ],
            },
            "Tags": [{"Key": tag["key"], "Value": tag["value"]} for tag in tags],
        }

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, str]:
        return {"Arn": physical_id, "Name": physical_id.rpartition(":")[2]}


def _logging(at: Place, wanted: Properties) -> Properties:
    """The API's names; a log group that is not there is refused, as by Step Functions."""
    given = wanted.get("LoggingConfiguration", {"Level": "OFF"})
    groups = [
        item["CloudWatchLogsLogGroup"]["LogGroupArn"] for item in given.get("Destinations", [])
    ]
    for arn in groups:
        name = arn.split(":log-group:")[-1].removesuffix(":*")
        found = at.aws("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        if name not in {item["logGroupName"] for item in found} or not arn.endswith(":*"):
            raise ResourceError(f"Invalid Logging Configuration: log destination not found: {arn}")
    return {
        "level": given["Level"],
        "includeExecutionData": given.get("IncludeExecutionData", False),
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}} for arn in groups],
    }


TYPES = (StateMachine,)
