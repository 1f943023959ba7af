"""Step Functions."""

from ..engine.errors import ResourceError
from ..engine.resources import Place, Properties, ResourceType, changed_tags
from .iam import check_assumable

_STATES = "states.amazonaws.com"


class StateMachine(ResourceType):
    name = "AWS::StepFunctions::StateMachine"
    updated = frozenset({"DefinitionString", "LoggingConfiguration", "RoleArn", "Tags"})
    handled = updated | {"StateMachineName", "StateMachineType"}

    def create(self, place: Place, desired: Properties) -> str:
        machines = place.aws("stepfunctions")
        name = desired.get("StateMachineName") or place.generated_name(80)
        # CreateStateMachine returns an existing one of the same name and definition.
        if name in {item["name"] for item in machines.list_state_machines()["stateMachines"]}:
            raise ResourceError(f"State Machine Already Exists: {name}")
        check_assumable(place, desired["RoleArn"], _STATES)
        return str(
            machines.create_state_machine(
                name=name,
                type=desired.get("StateMachineType", "STANDARD"),
                definition=desired["DefinitionString"],
                roleArn=desired["RoleArn"],
                loggingConfiguration=_logging(place, desired),
                tags=[{"key": t["Key"], "value": t["Value"]} for t in desired.get("Tags", [])],
            )["stateMachineArn"]
        )

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        machines = place.aws("stepfunctions")
        check_assumable(place, new["RoleArn"], _STATES)
        machines.update_state_machine(
            stateMachineArn=physical_id,
            definition=new["DefinitionString"],
            roleArn=new["RoleArn"],
            loggingConfiguration=_logging(place, new),
        )
        removed_keys, tags = changed_tags(old, new)
        machines.untag_resource(resourceArn=physical_id, tagKeys=removed_keys)
        pairs = [{"key": tag["Key"], "value": tag["Value"]} for tag in tags]
        machines.tag_resource(resourceArn=physical_id, tags=pairs)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("stepfunctions").delete_state_machine(stateMachineArn=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        machines = place.aws("stepfunctions")
        machine = machines.describe_state_machine(stateMachineArn=physical_id)
        tags = machines.list_tags_for_resource(resourceArn=physical_id)["tags"]
        logs = machine.get("loggingConfiguration", {})
        groups = [item["cloudWatchLogsLogGroup"] for item in logs.get("destinations", [])]
        return {
            "StateMachineName": machine["name"],
            "StateMachineType": machine["type"],
            "DefinitionString": machine["definition"],
            "RoleArn": machine["roleArn"],
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

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, str]:
        return {"Arn": physical_id, "Name": physical_id.rpartition(":")[2]}


def _logging(place: Place, desired: Properties) -> Properties:
    """Returns the API's form; refuses a missing log group, as Step Functions does."""
    configuration = desired.get("LoggingConfiguration", {"Level": "OFF"})
    groups = [
        item["CloudWatchLogsLogGroup"]["LogGroupArn"]
        for item in configuration.get("Destinations", [])
    ]
    for arn in groups:
        name = arn.split(":log-group:")[-1].removesuffix(":*")
        log_groups = place.aws("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
        if name not in {item["logGroupName"] for item in log_groups} or not arn.endswith(":*"):
            raise ResourceError(f"Invalid Logging Configuration: log destination not found: {arn}")
    return {
        "level": configuration["Level"],
        "includeExecutionData": configuration.get("IncludeExecutionData", False),
        "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}} for arn in groups],
    }


TYPES = (StateMachine,)
