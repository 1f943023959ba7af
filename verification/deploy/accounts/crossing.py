"""Requests for a resource of another account: a bucket, a key, a version of a model.

What a promotion asks is known here, and everything else is refused.
"""

from collections.abc import Mapping
from urllib.parse import unquote

from sashiko.aws.operations.access.principals import Principal
from verification.deploy.accounts.answers import ServiceError
from verification.deploy.accounts.roles import Call, may, shares
from verification.deploy.accounts.sessions import Session
from verification.deploy.accounts.wire import Wire
from verification.deploy.process import Emulator

_NAMED = {"kms": "KeyId", "sagemaker": "ModelPackageName"}  # by an ARN


def owner_of(
    wire: Wire, own: str, accounts: Mapping[str, Emulator], buckets: dict[str, str]
) -> str:
    """Returns the account of the resource of a request: mostly the caller's own.

    Args:
        wire: the request.
        own: the caller's account.
        accounts: all accounts.
        buckets: whose they are, as far as it is known; bucket names are unique among accounts.
    """
    if wire.service == "s3":
        bucket = _bucket(wire)
        if bucket and bucket not in buckets:
            for number, account in accounts.items():
                for item in account.client("s3").list_buckets()["Buckets"]:
                    buckets[item["Name"]] = number
        return buckets.get(bucket, own)
    arn = str(wire.document.get(_NAMED.get(wire.service, ""), ""))
    owner = arn.split(":")[4] if arn.startswith("arn:") else own
    return owner if owner in accounts else own


def refuse_crossing(wire: Wire, caller: Principal, session: Session, owner: Emulator) -> None:
    """Raises ServiceError if not both sides let a caller into another account."""
    call, document = _call(wire, owner)
    if may(caller, call) and document and shares(document, caller, call):
        return
    raise ServiceError(
        "AccessDenied" if wire.service == "s3" else "AccessDeniedException",
        f"User: {session.arn} is not authorized to perform: {call.action} on resource: "
        f"{call.resource}",
    )


def _call(wire: Wire, owner: Emulator) -> tuple[Call, str]:
    """Returns the call that the request makes, and the policy of the resource."""
    account = owner.account
    if wire.service == "s3" and wire.method in ("GET", "HEAD"):
        bucket, s3 = _bucket(wire), owner.client("s3")
        resource = f"arn:aws:s3:::{unquote(wire.path).lstrip('/')}"
        action = "s3:GetObject" if "/" in resource else "s3:ListBucket"
        context = {"s3:resourceaccount": account}
        call = Call(action=action, resource=resource, owner=account, context=context)
        return call, str(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    named = str(wire.document.get(_NAMED.get(wire.service, ""), ""))
    if wire.action == "kms:Verify":
        kms = owner.client("kms")
        key = kms.describe_key(KeyId=named)["KeyMetadata"]["Arn"]
        alias = named.rpartition(":")[2]
        context = {
            "kms:requestalias": alias if alias.startswith("alias/") else "",
            "kms:signingalgorithm": wire.document["SigningAlgorithm"],
            "kms:messagetype": wire.document.get("MessageType", "RAW"),
        }
        call = Call(action=wire.action, resource=key, owner=account, context=context)
        return call, str(kms.get_key_policy(KeyId=key, PolicyName="default")["Policy"])
    if wire.action == "sagemaker:DescribeModelPackage":
        group = named.rpartition("/")[0].rpartition("/")[2]
        policy = owner.client("sagemaker").get_model_package_group_policy(
            ModelPackageGroupName=group
        )["ResourcePolicy"]
        return Call(action=wire.action, resource=named, owner=account, context={}), str(policy)
    raise ServiceError(
        "AccessDeniedException",
        f"the emulator lets nobody into another account by {wire.action or wire.service}",
    )


def _bucket(wire: Wire) -> str:
    return unquote(wire.path).lstrip("/").partition("/")[0]
