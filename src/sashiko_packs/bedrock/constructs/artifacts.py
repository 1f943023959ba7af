"""Bedrock's part of the artifacts bucket: what is imported, and what a comparison reads."""

from collections.abc import Iterator, Mapping

from sashiko.account.names import IMPORTS, Bucket, Role
from sashiko.pipeline.definition.job_objects import JobObjects
from sashiko.registry.versions import predictions_uri
from sashiko.settings.environment import Settings
from sashiko_cdk.lake.private_bucket import PrivateBucket
from sashiko_packs.bedrock.settings import BedrockSection


def protect_imports(settings: Settings, buckets: Mapping[Bucket, PrivateBucket]) -> None:
    """Lets one role write what a job of Bedrock's imports, once: names are digests of content."""
    if settings.section(BedrockSection).enabled:
        artifacts = buckets["artifacts"]
        artifacts.only("endpoint-deployer", actions=["s3:PutObject"], prefix=f"{IMPORTS}/")
        artifacts.write_once(prefix=f"{IMPORTS}/")


def readers(settings: Settings, job: JobObjects) -> Iterator[tuple[Role, str]]:
    """Yields who reads which URI: `sashiko model compare-import` asks for test rows again."""
    enabled = settings.section(BedrockSection).enabled
    if enabled and job.role == settings.role_arn("registrar"):
        yield "data-scientist", job.arguments.get("--test-uri", "")
        yield "data-scientist", predictions_uri(job.arguments.get("--reference-uri", ""))
