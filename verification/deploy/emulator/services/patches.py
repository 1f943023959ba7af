"""Where moto's own services take more or do less than AWS's.

KMS: a signature that is not of the requested key is an error ("Verify", KMS API Reference), where
moto answers that it is not valid. A key whose policy denies everybody to sign, without a
condition, does not sign. No other policy of a key refuses anything here.

S3: moto evaluates a bucket policy's Deny without its Condition: one that asks for TLS would refuse
every upload to the emulator, which speaks plain HTTP. So policies are stored and not enforced.
And moto takes a log target only if its policy already lets the logging service write; S3 takes it
before, and CDK's own order (bucket, then a policy that names it) relies on that.
moto delivers access logs also where the target's policy denies the logging service. Last, it does
not tell that a bucket sends its events to EventBridge.

EC2: moto's list of endpoint services lacks one. An endpoint's interfaces have addresses of their
subnets, and follow a change of these. A route to a NAT or transit gateway that is gone is a
blackhole. The id of a region's prefix list of S3 is always the same.

Glue: a new database or table gets Lake Formation's default permissions, `IAM_ALLOWED_PRINCIPALS`
unless somebody has emptied them; a deleted one loses its tags, filters and grants. A function's
role sees what is granted to it.
"""

import json
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.ec2.models import vpcs
from moto.ec2.models.managed_prefixes import ManagedPrefixListBackend
from moto.ec2.models.route_tables import Route
from moto.ec2.models.vpcs import VPCBackend
from moto.glue.models import GlueBackend
from moto.iam.access_control import PermissionResult
from moto.kms.models import KmsBackend
from moto.s3.models import FakeBucket, S3Backend
from moto.s3.responses import S3Response

from .functions import ROLE_KEY
from .json_api import Guard, Handler
from .lake_formation import LakeFormation

_moto_sign = KmsBackend.sign
_moto_verify = KmsBackend.verify
_deliver = S3Backend.log_incoming_request
_moto_notifications = S3Response.get_bucket_notification
_moto_endpoint_services = VPCBackend._collect_default_endpoint_services
_moto_change_endpoint = VPCBackend.modify_vpc_endpoint
_moto_lists = ManagedPrefixListBackend.create_default_pls
_S3_LISTS = {"us-east-1": "pl-63a5400a"}


def install(lake_formation: Callable[[str], LakeFormation]) -> None:
    KmsBackend.sign, KmsBackend.verify = _sign, _verify
    S3Backend.log_incoming_request = _log
    S3Response.get_bucket_notification = _notification_configuration
    FakeBucket.get_permission = lambda *_, **__: PermissionResult.NEUTRAL
    FakeBucket._log_permissions_enabled_policy = staticmethod(lambda *_, **__: True)
    VPCBackend._collect_default_endpoint_services = staticmethod(_endpoint_services)
    vpcs.random_private_ip = lambda: ""  # it takes one of the subnet then
    VPCBackend.modify_vpc_endpoint = _change_endpoint
    ManagedPrefixListBackend.create_default_pls = _create_lists
    Route.state = property(_route_state)
    _connect_catalog(lake_formation)


class CloudTrail:
    """An empty event history, which moto lacks: CDK reads it when a resource fails.

    Without an answer it tries for half a minute.
    """

    def __init__(self, *_: object) -> None:
        self.operations: dict[str, Handler] = {"LookupEvents": lambda _: {"Events": []}}


def _sign(
    self: KmsBackend, key_id: str, message: bytes, signing_algorithm: str
) -> tuple[str, bytes, str]:
    key = self.describe_key(key_id)
    for item in json.loads(key.policy)["Statement"]:
        if item["Effect"] == "Deny" and "kms:Sign" in item["Action"] and "Condition" not in item:
            raise JsonRESTError(
                "AccessDeniedException",
                f"not authorized to perform: kms:Sign on resource: {key.arn} with an explicit deny "
                "in a resource-based policy",
            )
    return _moto_sign(self, key_id, message, signing_algorithm)


def _verify(
    self: KmsBackend, key_id: str, message: bytes, signature: bytes, signing_algorithm: str
) -> tuple[str, bool, str]:
    answer = _moto_verify(self, key_id, message, signature, signing_algorithm)
    if not answer[1]:
        raise JsonRESTError("KMSInvalidSignatureException", "")
    return answer


def _log(self: S3Backend, request: Any, bucket_name: str) -> None:
    source = self.buckets.get(bucket_name)
    target = self.buckets.get(source.logging.get("TargetBucket", "")) if source else None
    policy = json.loads(target.policy) if target and target.policy else {"Statement": []}
    denied = any(
        item["Effect"] == "Deny" and _is_logging(item["Principal"]) for item in policy["Statement"]
    )
    if not denied:
        _deliver(self, request, bucket_name)


def _is_logging(principal: Any) -> bool:
    return isinstance(principal, dict) and principal.get("Service") == "logging.s3.amazonaws.com"


def _notification_configuration(self: S3Response) -> Any:
    configuration = self.backend.get_bucket_notification_configuration(self.bucket_name)
    if (
        not configuration
        or configuration.event_bridge is None
        or configuration.topic
        or configuration.queue
    ):
        return _moto_notifications(self)
    self.data["Action"] = "GetBucketNotificationConfiguration"
    return self.serialized(ActionResult({"EventBridgeConfiguration": {}}))


def _endpoint_services(account: str, region: str) -> list[dict[str, str]]:
    services: list[dict[str, str]] = _moto_endpoint_services(account, region)
    name = f"aws.sagemaker.{region}.experiments"
    if name not in {item["ServiceName"] for item in services}:
        other = next(item for item in services if item["ServiceName"].endswith(".sagemaker.api"))
        services.append({**other, "ServiceName": name})
    return services


def _change_endpoint(backend: Any, vpc_id: str, **changes: Any) -> None:
    _moto_change_endpoint(backend, vpc_id, **changes)
    endpoint = backend.vpc_end_points[vpc_id]
    if endpoint.vpc_endpoint_type != "Interface":
        return
    by_subnet = {backend.enis[name].subnet.id: name for name in endpoint.network_interface_ids}
    for name in by_subnet.keys() - set(endpoint.subnet_ids):
        del backend.enis[by_subnet.pop(name)]
    for name in set(endpoint.subnet_ids) - by_subnet.keys():
        by_subnet[name] = backend.create_network_interface(name, "").id
    endpoint.network_interface_ids = list(by_subnet.values())


def _create_lists(backend: Any) -> None:
    _moto_lists(backend)
    lists, region = backend.managed_prefix_lists, backend.region_name
    (s3,) = (one for one in lists.values() if one.prefix_list_name == f"com.amazonaws.{region}.s3")
    del lists[s3.id]
    s3.id = _S3_LISTS.get(region, s3.id)
    lists[s3.id] = s3


def _route_state(route: Any) -> str:
    """AWS keeps a route whose target is gone ("Route", Amazon EC2 API Reference)."""
    nat, hub = route.nat_gateway, route.transit_gateway
    hubs = route.route_table.ec2_backend.transit_gateways
    gone = (nat and nat.state == "deleted") or (hub and hub.id not in hubs)
    return "blackhole" if gone else "active"


def _connect_catalog(lake_formation: Callable[[str], LakeFormation]) -> None:
    """Wraps Glue's back end."""

    def grant(backend: GlueBackend, resource: dict[str, Any], defaults: list[Any]) -> None:
        for item in defaults:
            lake_formation(backend.region_name).add_grant({**item, "Resource": resource})

    create_database, create_table = GlueBackend.create_database, GlueBackend.create_table
    delete_database, delete_table = GlueBackend.delete_database, GlueBackend.delete_table

    def with_database(
        backend: GlueBackend, database_name: str, database_input: Any, *rest: Any, **named: Any
    ) -> Any:
        database = create_database(backend, database_name, database_input, *rest, **named)
        settings = lake_formation(backend.region_name)
        database_input.setdefault(
            "CreateTableDefaultPermissions", settings.default_permissions("Table")
        )
        defaults = settings.default_permissions("Database")
        grant(backend, {"Database": {"Name": database_name}}, defaults)
        return database

    def with_table(
        backend: GlueBackend, database_name: str, table_name: str, *rest: Any, **named: Any
    ) -> Any:
        table = create_table(backend, database_name, table_name, *rest, **named)
        database = backend.get_database(database_name)
        resource = {"Table": {"DatabaseName": database_name, "Name": table_name}}
        grant(backend, resource, database.input.get("CreateTableDefaultPermissions", []))
        return table

    def without_database(backend: GlueBackend, database_name: str) -> None:
        delete_database(backend, database_name)
        lake_formation(backend.region_name).forget(database_name)

    def without_table(backend: GlueBackend, database_name: str, table_name: str) -> None:
        delete_table(backend, database_name, table_name)
        lake_formation(backend.region_name).forget(database_name, table_name)

    GlueBackend.create_database = with_database
    GlueBackend.create_table = with_table
    GlueBackend.delete_database = without_database
    GlueBackend.delete_table = without_table


_READS = {"glue:GetDatabase": "Database", "glue:GetTable": "Table"}


def guard(account: str, lake_formation: Callable[[str], LakeFormation]) -> Guard:
    """Returns a guard that refuses a role without a grant; `lake_formation` gives a region's."""

    def refuse(key: str, region: str, action: str, body: bytes) -> None:
        if not key.startswith(ROLE_KEY) or action not in _READS:
            return
        names = {k: v for k, v in json.loads(body).items() if k in ("DatabaseName", "Name")}
        role = f"arn:aws:iam::{account}:role/{key.removeprefix(ROLE_KEY)}"
        lake_formation(region).check_visible(role, {_READS[action]: names})

    return refuse
