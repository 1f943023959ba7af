"""The lake: buckets, keys, Glue tables, ETL jobs and Athena workgroups."""

from collections.abc import Mapping

from constructs import Construct

from sashiko_cdk.deployment import Deployment
from sashiko_cdk.identity.artifact_access import ArtifactAccess
from sashiko_cdk.lake.buckets import add_buckets
from sashiko_cdk.lake.catalog import add_catalog, add_workgroups
from sashiko_cdk.lake.domain_key import DomainKey, KeyDomain
from sashiko_cdk.lake.etl_job import EtlJobs, add_etl_encryption
from sashiko_cdk.lake.lake_access import LakeAccess
from sashiko_cdk.pack_parts import LakeParts, add_lake_parts
from sashiko_cdk.serving.capture import Capture
from sashiko_cdk.stack import EnvironmentStack


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
        lake, snapshots = self._key("lake"), self._key("snapshots")
        ml, logs = self._key("ml"), self._key("logs")
        buckets = add_buckets(self, lake_key=lake, snapshots_key=snapshots, ml_key=ml)
        capture = Capture(
            self, "Capture", settings=settings, logs=buckets[0], removal_policy=self.removal_policy
        )
        self.key_arns: Mapping[KeyDomain, str] = {
            "capture": capture.key.key_arn,
            "lake": lake.key_arn,
            "logs": logs.key_arn,
            "ml": ml.key_arn,
            "snapshots": snapshots.key_arn,
        }
        access = LakeAccess(
            self,
            "Access",
            settings=settings,
            contracts=contracts,
            lake_key=lake,
            snapshots_key=snapshots,
            ml_key=ml,
        )
        ArtifactAccess(self, "Artifacts", settings=settings, pipelines=deployment.pipelines, key=ml)
        parts = LakeParts(
            deployment=deployment, lake_key=lake, capture_key=capture.key,
            snapshots_key=snapshots, ml_key=ml,
        )  # fmt: skip
        add_lake_parts(self, parts)
        add_catalog(
            self,
            contracts,
            recipes=deployment.recipes,
            logs_key=logs,
            first=buckets[0],
            dependencies=(*buckets, access),
        )
        add_workgroups(self, snapshots_key=snapshots, ml_key=ml, dependencies=buckets)
        if deployment.loaded:
            EtlJobs(
                self,
                "Etl",
                settings=settings,
                contracts=deployment.loaded,
                security_configuration=add_etl_encryption(self, lake_key=lake, logs_key=logs),
            )

    def _key(self, domain: KeyDomain) -> DomainKey:
        return DomainKey(
            self,
            f"Key-{domain}",
            settings=self.settings,
            domain=domain,
            removal_policy=self.removal_policy,
        )
