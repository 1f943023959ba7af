"""Four ways in which moto's S3 differs from AWS's.

moto evaluates a bucket policy's Deny without its Condition: one that asks for TLS would refuse
every upload to the emulator, which speaks plain HTTP. So policies are stored and not enforced.
And moto takes a log target only if its policy already lets the logging service write; S3 takes it
before, and CDK's own order (bucket, then a policy that names it) relies on that.
moto delivers access logs also where the target's policy denies the logging service. Last, it does
not tell that a bucket sends its events to EventBridge.
"""

import json
from typing import Any

from moto.core.responses import ActionResult
from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket, S3Backend
from moto.s3.responses import S3Response

_deliver = S3Backend.log_incoming_request
_moto_notifications = S3Response.get_bucket_notification


def install() -> None:
    """Makes bucket policies neutral, and any bucket a log target unless its policy denies it."""
    S3Backend.log_incoming_request = _log
    S3Response.get_bucket_notification = _notification_configuration
    FakeBucket.get_permission = lambda *_, **__: PermissionResult.NEUTRAL
    FakeBucket._log_permissions_enabled_policy = staticmethod(lambda *_, **__: True)


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
