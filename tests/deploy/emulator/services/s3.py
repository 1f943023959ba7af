"""Two checks of moto's S3 that AWS does not make in this way.

moto evaluates a bucket policy's Deny without its Condition: one that asks for TLS would refuse
every upload to the emulator, which speaks plain HTTP. So policies are stored and not enforced.
And moto takes a log target only if its policy already lets the logging service write; S3 takes it
before, and CDK's own order (bucket, then a policy that names it) relies on that.
"""

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket


def install() -> None:
    """Makes bucket policies neutral, and any bucket a log target."""
    FakeBucket.get_permission = lambda *_, **__: PermissionResult.NEUTRAL
    FakeBucket._log_permissions_enabled_policy = staticmethod(lambda *_, **__: True)
