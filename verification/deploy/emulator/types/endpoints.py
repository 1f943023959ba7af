"""EC2's VPC endpoints and flow logs."""

import json
from typing import Any

from ..engine.errors import AbsentError, ResourceError
from ..engine.resources import Place, Properties, ResourceType
from .ec2 import Described, retag


class VpcEndpoint(Described):
    name = "AWS::EC2::VPCEndpoint"
    create_call, describe_call = "create_vpc_endpoint", "describe_vpc_endpoints"
    tag_type, result_key, id_key = "vpc-endpoint", "VpcEndpoint", "VpcEndpointId"
    list_key, ids_argument = "VpcEndpoints", "VpcEndpointIds"
    _several = ("RouteTableIds", "SecurityGroupIds", "SubnetIds")
    # Not PrivateDnsEnabled: moto drops it.
    updated = frozenset({"PolicyDocument", "Tags", *_several})
    handled = updated | {"PrivateDnsEnabled", "ServiceName", "VpcEndpointType", "VpcId"}

    def arguments(self, desired: Properties) -> Properties:
        arguments = {k: v for k, v in desired.items() if k not in ("Tags", "PolicyDocument")}
        if policy := desired.get("PolicyDocument"):
            arguments["PolicyDocument"] = policy if isinstance(policy, str) else json.dumps(policy)
        return arguments

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        changes: Properties = {}
        for key in self._several:
            before, after = old.get(key, []), new.get(key, [])
            changes[f"Add{key}"] = [item for item in after if item not in before]
            changes[f"Remove{key}"] = [item for item in before if item not in after]
        arguments = {key: items for key, items in changes.items() if items}
        if new.get("PolicyDocument") != old.get("PolicyDocument"):
            if "PolicyDocument" not in new:
                raise ResourceError("the emulator can't take an endpoint's policy away")
            arguments["PolicyDocument"] = self.arguments(new)["PolicyDocument"]
        if arguments:
            place.aws("ec2").modify_vpc_endpoint(VpcEndpointId=physical_id, **arguments)
        retag(place, physical_id, old, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("ec2").delete_vpc_endpoints(VpcEndpointIds=[physical_id])

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        endpoint = super().read(place, physical_id, desired)
        if endpoint["State"] in ("deleted", "deleting"):
            raise AbsentError(f"endpoint {physical_id} is deleted")
        return {
            **endpoint,
            "PolicyDocument": json.loads(endpoint["PolicyDocument"]),
            "SecurityGroupIds": [group["GroupId"] for group in endpoint.get("Groups", [])],
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {"Id": physical_id}


class FlowLog(ResourceType):
    name = "AWS::EC2::FlowLog"
    updated = frozenset({"Tags"})

    def create(self, place: Place, desired: Properties) -> str:
        arguments = {k: v for k, v in desired.items() if k not in ("ResourceId", "Tags")}
        if tags := desired.get("Tags"):
            arguments["TagSpecifications"] = [{"ResourceType": "vpc-flow-log", "Tags": tags}]
        response = place.aws("ec2").create_flow_logs(
            ResourceIds=[desired["ResourceId"]], **arguments
        )
        if response.get("Unsuccessful"):
            raise ResourceError(str(response["Unsuccessful"][0]["Error"]["Message"]))
        return str(response["FlowLogIds"][0])

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        retag(place, physical_id, old, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("ec2").delete_flow_logs(FlowLogIds=[physical_id])

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        flow_logs = place.aws("ec2").describe_flow_logs(FlowLogIds=[physical_id])["FlowLogs"]
        if not flow_logs:
            raise AbsentError(f"no flow log {physical_id}")
        kinds = {"vpc": "VPC", "subnet": "Subnet", "eni": "NetworkInterface"}
        kind = kinds[flow_logs[0]["ResourceId"].split("-")[0]]
        return {**flow_logs[0], "ResourceType": kind}


TYPES = (FlowLog, VpcEndpoint)
