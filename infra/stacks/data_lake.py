"""The lake: buckets, keys, Glue tables, ETL jobs and Athena workgroups."""

from collections.abc import Mapping, Sequence
from typing import cast, get_args

from aws_cdk import Duration
from aws_cdk import aws_glue as glue
from aws_cdk import aws_s3 as s3
from constructs import Construct

from sashiko.aws.resources.names import (
    MODELS,
    Bucket,
    KeyDomain,
    Role,
    SnapshotView,
    exploration_workgroup_name,
    prefix,
    workgroup_name,
)
from sashiko.contract.glue import glue_table
from sashiko.contract.model import Contract
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.functions.content_id import content_id
from sashiko_cdk.identity.artifact_access import ArtifactAccess
from sashiko_cdk.identity.role_table import STAGED, registering
from sashiko_cdk.lake.closed_lake import ClosedLakeCheck, LakeProbe
from sashiko_cdk.lake.domain_key import DomainKey
from sashiko_cdk.lake.etl_job import EtlJobs
from sashiko_cdk.lake.governed_location import GovernedLocation
from sashiko_cdk.lake.lake_access import LakeAccess
from sashiko_cdk.lake.lake_tables import LakeTables
from sashiko_cdk.lake.private_bucket import PrivateBucket
from sashiko_cdk.lake.query_workgroup import RESULTS, QueryWorkgroup
from sashiko_cdk.platform.promotion import share_models
from sashiko_cdk.security_rules.acknowledge import acknowledge
from sashiko_cdk.serving.capture import Capture
from sashiko_cdk.stack import EnvironmentStack

_ACCESS_LOGS = Duration.days(400)
_SCRATCH = Duration.days(7)
_CHECKPOINTS = Duration.days(30)  # more than the 28 days that a training may run
_READ = ("s3:GetObject*",)
# Other readers of the lake's objects go through Lake Formation, which acts as the first role.
_OBJECT_READERS: tuple[Role, ...] = ("lake-formation", "etl", "break-glass")


class DataLake(EnvironmentStack):
    """The stateful resources of the lake. Governance grants access to the data.

    Attributes:
        key_arns: domain -> ARN of its KMS key, of those that other stacks encrypt with.
    """

    def __init__(self, scope: Construct, deployment: Deployment) -> None:
        """Makes the lake of the contracts, and grants the pipelines' jobs access."""
        settings, contracts = deployment.settings, deployment.contracts
        super().__init__(
            scope,
            "DataLake",
            deployment,
            stateful=True,
            description="Buckets, keys, Glue tables and Athena workgroups of the data lake",
        )
        self._lake_key = self._key("lake")
        self._snapshots_key = self._key("snapshots")
        self._ml_key = self._key("ml")
        self._logs_key = self._key("logs")
        self.key_arns: Mapping[KeyDomain, str] = {
            "logs": self._logs_key.key_arn,
            "ml": self._ml_key.key_arn,
            "snapshots": self._snapshots_key.key_arn,
        }
        buckets = self._buckets()
        access = LakeAccess(
            self,
            "Access",
            settings=settings,
            tables=[contract.table for contract in contracts],
            lake_key=self._lake_key,
            snapshots_key=self._snapshots_key,
            ml_key=self._ml_key,
        )
        ArtifactAccess(
            self, "Artifacts", settings=settings, pipelines=deployment.pipelines, key=self._ml_key
        )
        self._catalog(contracts, first=buckets[0], dependencies=(*buckets, access))
        self._workgroups(dependencies=buckets)
        EtlJobs(
            self,
            "Etl",
            settings=settings,
            contracts=contracts,
            security_configuration=self._security_configuration(),
        )

    def _key(self, domain: KeyDomain) -> DomainKey:
        return DomainKey(
            self,
            f"Key-{domain}",
            settings=self.settings,
            domain=domain,
            removal_policy=self.removal_policy,
        )

    def _buckets(self) -> tuple[PrivateBucket, ...]:
        """Makes the buckets; a deny in their policies overrides what IAM allows."""
        logs = self._bucket("logs", expiring=[_expires("", _ACCESS_LOGS)])
        raw = self._bucket("raw", key=self._lake_key, logs=logs)
        _tell_event_bridge(raw)
        curated = self._bucket("curated", key=self._lake_key, logs=logs)
        raw.only(*_OBJECT_READERS, actions=_READ)
        curated.only(*_OBJECT_READERS, *self._by_iam(), actions=_READ)
        snapshots = self._bucket(
            "snapshots",
            key=self._snapshots_key,
            logs=logs,
            expiring=[
                _expires(folder, _SCRATCH)
                for view in get_args(SnapshotView)
                for folder in (f"{view}/scratch/", f"{view}/{RESULTS}")
            ],
        )
        snapshots.only("broker", actions=["s3:PutObject"], prefix="training/")
        snapshots.only("bias-evaluator", actions=["s3:PutObject"], prefix="facets/")
        snapshots.only("bias-evaluator", "break-glass", actions=_READ, prefix="facets/")
        snapshots.only("bias-evaluator", actions=["s3:PutObject"], prefix="weights/")
        snapshots.only(
            "bias-evaluator", "training", "break-glass", actions=_READ, prefix="weights/"
        )
        artifacts = self._bucket(
            "artifacts",
            key=self._ml_key,
            logs=logs,
            # A finished training deletes its checkpoints; those of an abandoned one expire.
            expiring=[_expires(RESULTS, _SCRATCH), _expires("checkpoints/", _CHECKPOINTS)],
        )
        # A version in the registry points there: only the roles that register may write its files.
        artifacts.only(*registering(self.settings), actions=["s3:PutObject"], prefix=f"{MODELS}/")
        share_models(artifacts, self._ml_key, settings=self.settings)
        for keys in STAGED:
            artifacts.only("deployer", actions=["s3:PutObject"], prefix=keys.removesuffix("*"))
            artifacts.write_once(prefix=keys.removesuffix("*"))
        Capture(
            self, "Capture", settings=self.settings, logs=logs, removal_policy=self.removal_policy
        )
        self._explain(logs)
        return logs, raw, curated, snapshots, artifacts

    def _explain(self, logs: PrivateBucket) -> None:
        why = "S3 delivers access logs only to a bucket under S3's own key"
        acknowledge(
            logs,
            {
                "CKV_AWS_18": "It is where access is logged: logging its own would never end",
                "NIST-S3DefaultEncryptionKMS": why,
                "customer-key": why,
            },
        )
        if logs.policy:
            arn = f"<{self.resolve(logs.bucket_arn)['Fn::GetAtt'][0]}.Arn>"
            reason = "S3 names the log objects; each bucket's lie below its own prefix"
            acknowledge(
                logs.policy,
                {
                    f"wildcard[Resource::{arn}/{bucket}/*]": reason
                    for bucket in ("raw", "curated", "snapshots", "artifacts", "capture")
                },
            )

    def _by_iam(self) -> tuple[Role, ...]:
        """Returns the readers by IAM: without Lake Formation a query reads with its own role."""
        enforced = self.settings.lake_formation.mode == "enforced"
        return () if enforced else ("broker", "bias-evaluator")

    def _bucket(
        self,
        bucket: Bucket,
        *,
        key: DomainKey | None = None,
        logs: PrivateBucket | None = None,
        expiring: Sequence[s3.LifecycleRule] = (),
    ) -> PrivateBucket:
        return PrivateBucket(
            self,
            f"Bucket-{bucket}",
            settings=self.settings,
            bucket=bucket,
            removal_policy=self.removal_policy,
            key=key,
            logs=logs,
            expiring=expiring,
        )

    def _catalog(
        self,
        contracts: Sequence[Contract],
        *,
        first: PrivateBucket,
        dependencies: Sequence[Construct],
    ) -> None:
        lake = LakeTables(
            self,
            "Lake",
            settings=self.settings,
            tables=[glue_table(contract) for contract in contracts],
            removal_policy=self.removal_policy,
        )
        if self.settings.lake_formation.mode == "enforced":
            probe = LakeProbe(
                self,
                "Probe",
                settings=self.settings,
                key=self._logs_key,
                removal_policy=self.removal_policy,
            )
            last: Construct = ClosedLakeCheck(self, settings=self.settings, tables=())
            last.node.add_dependency(probe, lake.database)
            # The other buckets log to it, so a refused deploy has no buckets to delete.
            first.node.add_dependency(last)
            for name, table in lake.tables.items():
                location = GovernedLocation(
                    self, f"Location-{name}", settings=self.settings, table=name
                )
                # Lake Formation's changes come one after the other: see Governance.
                location.node.add_dependency(*dependencies, last)
                last = location.location
                table.add_resource_dependency(location.location)

    def _workgroups(self, *, dependencies: Sequence[Construct]) -> None:
        # One per view, below the view's folder: query results are as sensitive as the view.
        snapshots = [
            QueryWorkgroup(
                self,
                f"Snapshots-{view}",
                settings=self.settings,
                name=workgroup_name(self.settings, view),
                description=f"Takes snapshots of the lake: {view}",
                bucket="snapshots",
                folder=f"{view}/",
                key=self._snapshots_key,
            )
            for view in get_args(SnapshotView)
        ]
        exploration = QueryWorkgroup(
            self,
            "Exploration",
            settings=self.settings,
            name=exploration_workgroup_name(self.settings),
            description="Data scientists' queries of the lake",
            bucket="artifacts",
            key=self._ml_key,
        )
        for workgroup in (*snapshots, exploration):
            workgroup.node.add_dependency(*dependencies)

    def _security_configuration(self) -> glue.CfnSecurityConfiguration:
        """Encrypts what Glue jobs write: data, bookmarks and logs."""
        config = glue.CfnSecurityConfiguration
        encryption = config.EncryptionConfigurationProperty(
            cloud_watch_encryption=config.CloudWatchEncryptionProperty(
                cloud_watch_encryption_mode="SSE-KMS", kms_key_arn=self._logs_key.key_arn
            ),
            job_bookmarks_encryption=config.JobBookmarksEncryptionProperty(
                job_bookmarks_encryption_mode="CSE-KMS", kms_key_arn=self._lake_key.key_arn
            ),
            s3_encryptions=[
                config.S3EncryptionProperty(
                    s3_encryption_mode="SSE-KMS", kms_key_arn=self._lake_key.key_arn
                )
            ],
        )
        # Glue cannot update one: changed content needs a new name, or it "already exists".
        id_ = content_id(self, "GlueSecurity", encryption)
        name = f"{prefix(self.settings)}-{id_.removeprefix('GlueSecurity')}"
        return config(self, id_, name=name, encryption_configuration=encryption)


def _tell_event_bridge(bucket: s3.Bucket) -> None:
    """Sends EventBridge the bucket's events; the construct's own switch adds a Lambda function."""
    config = s3.CfnBucket
    cast(
        s3.CfnBucket, bucket.node.default_child
    ).notification_configuration = config.NotificationConfigurationProperty(
        event_bridge_configuration=config.EventBridgeConfigurationProperty(
            event_bridge_enabled=True
        )
    )


def _expires(folder: str, age: Duration) -> s3.LifecycleRule:
    return s3.LifecycleRule(prefix=folder or None, expiration=age)
