"""An Athena workgroup whose settings its clients cannot change."""

from aws_cdk import aws_athena as athena
from aws_cdk import aws_kms as kms
from constructs import Construct

from sashiko.account.names import Bucket, bucket_name
from sashiko.settings.environment import Settings

# Where a workgroup's results lie, in its bucket or a folder of it; lifecycle and policies know it.
RESULTS = "athena/"


class QueryWorkgroup(athena.CfnWorkGroup):
    """Results in one place, under one key."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        name: str,
        description: str,
        bucket: Bucket,
        folder: str = "",
        key: kms.IKey,
    ) -> None:
        """The results lie below `RESULTS` of `folder`, or of the bucket itself if that is empty."""
        results = athena.CfnWorkGroup.ResultConfigurationProperty(
            output_location=f"s3://{bucket_name(settings, bucket)}/{folder}{RESULTS}",
            expected_bucket_owner=settings.account,
            encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                encryption_option="SSE_KMS", kms_key=key.key_arn
            ),
        )
        super().__init__(
            scope,
            id,
            name=name,
            description=description,
            recursive_delete_option=settings.on_destroy == "delete",
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                result_configuration=results,
            ),
        )
