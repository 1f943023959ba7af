"""EC2's VPC endpoints and flow logs."""

import json
from typing import Any

from ..engine.errors import AbsentError, ResourceError
from ..engine.resources import Place, Properties, ResourceType
from .ec2 import Described, retag


class VpcEndpoint(Described):
    name = "AWS::EC2::VPCEndpoint"
    create_call, describe_call = "create_vpc_endpoint", "describe_vpc_endpoints"
    tagged, answer, id_key = "vpc-endpoint", "VpcEndpoint", "VpcEndpointId"
    found, ids = "VpcEndpoints", "VpcEndpointIds"
    _several = ("RouteTableIds", "SecurityGroupIds", "SubnetIds")
    # Not PrivateDnsEnabled: moto drops it.
    updated = frozenset({"PolicyDocument", "Tags", *_several})
    handled = updated | {"PrivateDnsEnabled", "ServiceName", "VpcEndpointType", "VpcId"}

    def arguments(self, wanted: Properties) -> Properties:
        given = {k: v for k, v in wanted.items() if k not in ("Tags", "PolicyDocument")}
        if policy := wanted.get("PolicyDocument"):
            given["PolicyDocument"] = policy if isinstance(policy, str) else json.dumps(policy)
        return given

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        changes: Properties = {}
        for key in self._several:
            before, after = old.get(key, []), new.get(key, [])
            changes[f"Add{key}"] = [item for item in after if item not in before]
            changes[f"Remove{key}"] = [item for item in before if item not in after]
        given = {key: items for key, items in changes.items() if items}
        if new.get("PolicyDocument") != old.get("PolicyDocument"):
            if "PolicyDocument" not in new:
                raise ResourceError("the emulator can't take an endpoint's policy away")
            given["PolicyDocument"] = self.arguments(new)["PolicyDocument"]
        if given:
            at.aws("ec2").modify_vpc_endpoint(VpcEndpointId=physical_id, **given)
        retag(at, physical_id, old, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("ec2").delete_vpc_endpoints(VpcEndpointIds=[physical_id])

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = super().read(at, physical_id, wanted)
        if found["State"] in ("deleted", "deleting"):
            raise AbsentError(f"endpoint {physical_id} is deleted")
        return {
            **found,
            "PolicyDocument": json.loads(found["PolicyDocument"]),
            "SecurityGroupIds": [group["GroupId"] for group in found.get("Groups", [])],
        }

    def attributes(self, at: Place, physical_id: str, wanted: Properties) -> dict[str, Any]:
        return {"Id": physical_id}


class FlowLog(ResourceType):
    name = "AWS::EC2::FlowLog"
    updated = frozenset({"Tags"})

    def create(self, at: Place, wanted: Properties) -> str:
        given = {k: v for k, v in wanted.items() if k not in ("ResourceId", "Tags")}
        if tags := wanted.get("Tags"):
            given["TagSpecifications"] = [{"ResourceType": "vpc-flow-log", "Tags": tags}]
        made = at.aws("ec2").create_flow_logs(ResourceIds=[wanted["ResourceId"]], **given)
        if made.get("Unsuccessful"):
            raise ResourceError(str(made["Unsuccessful"][0]["Error"]["Message"]))
        return str(made["FlowLogIds"][0])

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        retag(at, physical_id, old, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        at.aws("ec2").delete_flow_logs(FlowLogIds=[physical_id])

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        found = at.aws("ec2").describe_flow_logs(FlowLogIds=[physical_id])["FlowLogs"]
        if not found:
            raise AbsentError(f"no flow log {physical_id}")
        kinds = {"vpc": "VPC", "subnet": "Subnet", "eni": "NetworkInterface"}
        kind = kinds[found[0]["ResourceId"].split("-")[0]]
        return {**found[0], "ResourceType": kind}


TYPES = (FlowLog, VpcEndpoint)
