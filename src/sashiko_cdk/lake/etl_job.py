"""The Glue jobs that turn raw files into the lake's tables, and their data quality rulesets."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from aws_cdk import IgnoreMode
from aws_cdk import aws_glue as glue
from aws_cdk.aws_s3_assets import Asset
from constructs import Construct

import sashiko.contract.glue_job
from sashiko.account.names import arn, bucket_name, etl_name, prefix
from sashiko.contract.glue import QUARANTINE
from sashiko.contract.glue_job.spec import LoadSpec
from sashiko.contract.load_spec import load_spec
from sashiko.contract.model import Contract
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, RolePolicy, allow
from sashiko_cdk.lake.domain_key import DomainKey
from sashiko_cdk.stack import EnvironmentStack, content_id

__all__ = ["EtlJobs", "add_etl_encryption"]

_SCRIPTS = Path(sashiko.contract.glue_job.__file__).parent
# Glue unpacks a zip: it must hold the package from its root, and nothing else of the project.
_PACKAGE_ONLY = [
    "*",
    "!sashiko/",
    "!sashiko/__init__.py",
    "!sashiko/contract/",
    "!sashiko/contract/__init__.py",
    "!sashiko/contract/glue_job/",
    "!sashiko/contract/glue_job/*.py",
]
_MINUTES = 60
_WORKERS = 2  # a driver and an executor; Glue's least


def add_etl_encryption(
    stack: EnvironmentStack, *, lake_key: DomainKey, logs_key: DomainKey
) -> glue.CfnSecurityConfiguration:
    """Adds the encryption of what Glue jobs write to a stack.

    Args:
        stack: the stack.
        lake_key: encrypts data and bookmarks.
        logs_key: encrypts logs.

    Returns:
        The security configuration of the jobs.
    """
    config = glue.CfnSecurityConfiguration
    encryption = config.EncryptionConfigurationProperty(
        cloud_watch_encryption=config.CloudWatchEncryptionProperty(
            cloud_watch_encryption_mode="SSE-KMS", kms_key_arn=logs_key.key_arn
        ),
        job_bookmarks_encryption=config.JobBookmarksEncryptionProperty(
            job_bookmarks_encryption_mode="CSE-KMS", kms_key_arn=lake_key.key_arn
        ),
        s3_encryptions=[
            config.S3EncryptionProperty(s3_encryption_mode="SSE-KMS", kms_key_arn=lake_key.key_arn)
        ],
    )
    # Glue cannot update one: changed content needs a new name, or it "already exists".
    id_ = content_id(stack, "GlueSecurity", encryption)
    name = f"{prefix(stack.settings)}-{id_.removeprefix('GlueSecurity')}"
    return config(stack, id_, name=name, encryption_configuration=encryption)


class EtlJobs(Construct):
    """A job and a ruleset per table.

    A run names its extract: `--as-of`. A job evaluates the ruleset of its spec, which holds the
    contract's content, so that nobody can weaken it in the console; the Glue ruleset is the same
    text, for people. It has no target table: Glue Data Quality finds no partitions of a table with
    partition projection.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        contracts: Sequence[Contract],
        security_configuration: glue.CfnSecurityConfiguration,
    ) -> None:
        super().__init__(scope, id)
        self._settings = settings
        self._security = security_configuration
        self._log_groups = f"/aws-glue/{prefix(settings)}-etl"
        self._curated = bucket_name(settings, "curated")
        self._script = Asset(self, "Script", path=str(_SCRIPTS / "job.py"))
        self._package = Asset(
            self,
            "Package",
            path=str(_SCRIPTS.parents[2]),
            exclude=_PACKAGE_ONLY,
            ignore_mode=IgnoreMode.GIT,
        )
        specs = [self._load(load_spec(contract)) for contract in contracts]
        folders = [QUARANTINE, *(contract.table for contract in contracts)]
        statements = self._running([self._script, self._package, *specs], folders)
        why = "Runs the jobs: their code and their logs"
        RolePolicy(self, "Access", settings, "etl", statements, description=why)

    def _load(self, spec: LoadSpec) -> Asset:
        """Makes a table's job and ruleset; returns the spec that the job reads."""
        name = etl_name(self._settings, spec.table)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, f"{spec.table}.json")
            file.write_text(spec.to_json(), encoding="utf-8")
            asset = Asset(self, f"Spec-{spec.table}", path=str(file))
        glue.CfnDataQualityRuleset(
            self,
            f"Ruleset-{spec.table}",
            name=name,
            description=f"What must hold before {spec.table} is published; the job {name} runs it",
            ruleset=spec.ruleset,
        )
        job = glue.CfnJob(
            self,
            f"Job-{spec.table}",
            name=name,
            description=f"Loads {spec.contract} from raw to curated; a run needs --as-of",
            role=self._settings.role_arn("etl"),
            glue_version="5.0",
            worker_type="G.1X",
            number_of_workers=_WORKERS,
            timeout=_MINUTES,
            max_retries=0,
            execution_property=glue.CfnJob.ExecutionPropertyProperty(max_concurrent_runs=1),
            security_configuration=self._security.name,
            command=glue.CfnJob.JobCommandProperty(
                name="glueetl", python_version="3", script_location=self._script.s3_object_url
            ),
            default_arguments={
                "--job-bookmark-option": "job-bookmark-disable",
                "--extra-py-files": self._package.s3_object_url,
                # Glue 5 always logs as it goes; the logs' key is for groups of this environment.
                "--custom-logGroup-prefix": self._log_groups,
                "--spec": asset.s3_object_url,
                "--raw": f"s3://{bucket_name(self._settings, 'raw')}",
                "--curated": f"s3://{self._curated}",
                "--quarantine": f"s3://{self._curated}/{QUARANTINE}",
            },
        )
        job.add_resource_dependency(self._security)
        return asset

    def _running(self, assets: Sequence[Asset], folders: Sequence[str]) -> list[Allowed]:
        """Lets the role read its code and write its log; `LakeAccess` grants the lake itself."""
        curated = f"arn:aws:s3:::{self._curated}"
        # Glue's file system looks for each folder on the way as an object of its name, and marks it
        # by an empty one beside it.
        marks = [f"{folder}{end}" for folder in folders for end in ("", "_$folder$")]
        files = [f"arn:aws:s3:::{item.s3_bucket_name}/{item.s3_object_key}" for item in assets]
        logs = [f"logs:{verb}" for verb in ("AssociateKmsKey", "CreateLogGroup", "CreateLogStream")]
        return [
            allow(["s3:GetObject"], files),
            allow(["s3:GetObject", "s3:PutObject"], [f"{curated}/{mark}" for mark in marks]),
            allow(["s3:ListBucket"], [curated], conditions={"StringEquals": {"s3:prefix": marks}}),
            allow(
                [*logs, "logs:PutLogEvents"],
                [arn(self._settings, "logs", f"log-group:{self._log_groups}*")],
                why="Glue names the groups and streams of a run; all of them begin with this path",
            ),
        ]
