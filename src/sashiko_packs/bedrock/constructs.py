"""What approved causal LMs need on Amazon Bedrock: a guardrail, a key, roles' rights."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from aws_cdk import App, CfnOutput, RemovalPolicy
from aws_cdk import aws_bedrock as bedrock
from constructs import Construct

from sashiko.account.names import MODELS, Bucket, Role, arn, bucket_name
from sashiko.base.files import canonical_json, sha256_bytes
from sashiko.pipeline.definition.graph import JobObjects
from sashiko.registry.versions import predictions_uri
from sashiko.settings.environment import Settings
from sashiko_cdk.deployment import Deployment
from sashiko_cdk.identity.allow import Allowed, RolePolicy, allow
from sashiko_cdk.identity.role_table import LAKE, RoleRecord
from sashiko_cdk.identity.trust import by_alias
from sashiko_cdk.lake.domain_key import DomainKey
from sashiko_cdk.lake.private_bucket import PrivateBucket
from sashiko_cdk.security_rules.rules import Finding, Resource, Rule, statements_of, text, values_at
from sashiko_cdk.stack import EnvironmentStack
from sashiko_packs.bedrock.settings import IMPORT_ROLE, IMPORTS, KEY, BedrockSection, guardrail_name

__all__ = ["ModelAccess", "ModelGuardrail"]


ROLES: Final = (
    RoleRecord(
        name=IMPORT_ROLE,
        kind="service",
        description="Bedrock: reads the folder of a model that it imports",
        never=("sagemaker:*", *LAKE, "s3:PutObject*", "iam:PassRole"),
        trust=("bedrock", "model-import-job/*"),
    ),
)


def protect_imports(settings: Settings, buckets: Mapping[Bucket, PrivateBucket]) -> None:
    """Lets one role write what a job of Bedrock's imports, once: names are digests of content."""
    if settings.section(BedrockSection).enabled:
        artifacts = buckets["artifacts"]
        artifacts.only("endpoint-deployer", actions=["s3:PutObject"], prefix=f"{IMPORTS}/")
        artifacts.write_once(prefix=f"{IMPORTS}/")


def readers(settings: Settings, job: JobObjects) -> Iterator[tuple[Role, str]]:
    """Yields who reads which URI: `sashiko model bedrock compare` asks for test rows again."""
    enabled = settings.section(BedrockSection).enabled
    if enabled and job.role == settings.role_arn("registrar"):
        yield "data-scientist", job.arguments.get("--test-uri", "")
        yield "data-scientist", predictions_uri(job.arguments.get("--reference-uri", ""))


_INVOKE: Final = "bedrock:InvokeModel"
_KINDS: Final = ("model-import-job", "imported-model")
_BY_CONTENT = "Folders are named by their content."
_MADE_UP = "Bedrock makes up the ids of jobs and models; the condition asks for their tags."


class ModelAccess(Construct):
    """The roles' policies on models."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        artifacts_key_arn: str,
        models_key_arn: str,
        guardrail_arn: str,
    ) -> None:
        """Lets the endpoint deployer import, Bedrock read, and the data scientist invoke.

        No imported model is invoked without the guardrail.
        """
        super().__init__(scope, id)
        artifacts = f"arn:aws:s3:::{bucket_name(settings, 'artifacts')}"
        imports, models = ([f"{artifacts}/{folder}/*"] for folder in (IMPORTS, MODELS))
        of_jobs, imported = ([arn(settings, "bedrock", f"{kind}/*")] for kind in _KINDS)
        own = _tags(settings, "aws:ResourceTag")
        place = f"arn:aws:bedrock:{settings.region}::foundation-model"
        named = [f"{place}/{model}" for model in settings.section(BedrockSection).models]
        through = {"ArnLike": {"bedrock:GuardrailIdentifier": f"{guardrail_arn}:*"}}
        via = {"StringEquals": {"kms:ViaService": f"bedrock.{settings.region}.amazonaws.com"}}

        below = {"StringLike": {"s3:prefix": [f"{IMPORTS}/*"]}}
        listing = allow(["s3:ListBucket"], [artifacts], conditions=below)
        verifying = allow(
            ["kms:Verify"],
            [arn(settings, "kms", "key/*")],
            conditions=by_alias(settings),
            why="KMS makes up a key's id; the condition names its aliases.",
        )
        why = "Bedrock lists what an account has: id and number are looked up by the name."
        policies: dict[str, tuple[Role, str, list[Allowed]]] = {
            # "Create a service role for importing pre-trained models", Bedrock User Guide.
            "Reads": (
                IMPORT_ROLE,
                "Reads the folder of a model that it imports",
                [
                    allow(["s3:GetObject"], imports, why=_BY_CONTENT),
                    listing,
                    allow(["kms:Decrypt"], [artifacts_key_arn]),
                ],
            ),
            "Imports": (
                "endpoint-deployer",
                "Imports approved models into Bedrock, and deletes them there",
                [
                    allow(["s3:GetObject"], models, why=_BY_CONTENT),
                    allow(["s3:GetObject", "s3:PutObject"], imports, why=_BY_CONTENT),
                    listing,
                    allow(["kms:Decrypt", "kms:GenerateDataKey"], [artifacts_key_arn]),
                    verifying,
                    allow(
                        ["bedrock:CreateModelImportJob", "bedrock:ListModelImportJobs"],
                        ["*"],
                        why="Bedrock has no resource for them (Service Authorization Reference); "
                        "the role that a job reads as is named below.",
                    ),
                    allow(
                        ["bedrock:TagResource"],
                        [*imported, *of_jobs],
                        conditions=_tags(settings, "aws:RequestTag"),
                        why=_MADE_UP,
                    ),
                    allow(
                        ["bedrock:DeleteImportedModel", "bedrock:GetImportedModel"],
                        imported,
                        conditions=own,
                        why=_MADE_UP,
                    ),
                    allow(["bedrock:GetModelImportJob"], of_jobs, conditions=own, why=_MADE_UP),
                    allow(
                        ["iam:PassRole"],
                        [settings.role_arn(IMPORT_ROLE)],
                        conditions={
                            "StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}
                        },
                    ),
                    # "Encryption of imported custom models", Amazon Bedrock User Guide.
                    allow(
                        [
                            "kms:CreateGrant",
                            "kms:Decrypt",
                            "kms:DescribeKey",
                            "kms:GenerateDataKey",
                        ],
                        [models_key_arn],
                        conditions=via,
                    ),
                ],
            ),
            "Invokes": (
                "data-scientist",
                "Invokes imported models through the guardrail, and named models",
                [
                    allow([_INVOKE], imported, conditions={**own, **through}, why=_MADE_UP),
                    allow(["bedrock:ListGuardrails"], ["*"], why=why),
                    allow(["bedrock:ApplyGuardrail"], [guardrail_arn]),
                    allow(["kms:Decrypt"], [models_key_arn], conditions=via),
                    *([allow([_INVOKE, "bedrock:CountTokens"], named)] if named else []),
                    # To compare an imported model; ArtifactAccess lets the rows be read.
                    allow(["bedrock:GetImportedModel"], imported, conditions=own, why=_MADE_UP),
                    allow(["s3:GetObject"], models, why=_BY_CONTENT),
                    allow(["kms:Decrypt"], [artifacts_key_arn]),
                    verifying,
                ],
            ),
        }
        for name, (role, description, allowed) in policies.items():
            RolePolicy(self, name, settings, role, allowed, description=description)


def _tags(settings: Settings, key: str) -> dict[str, dict[str, str]]:
    tags = {"project": settings.project, "environment": settings.environment}
    return {"StringEquals": {f"{key}/{name}": value for name, value in tags.items()}}


_Guardrail = bedrock.CfnGuardrail
# Of the output, in which personal data are masked; a classifier writes its answer alone. In the
# input they are detected and stay: a masked text is another one than the model was judged on.
_PERSONAL: Final = (
    "ADDRESS",
    "CREDIT_DEBIT_CARD_NUMBER",
    "EMAIL",
    "INTERNATIONAL_BANK_ACCOUNT_NUMBER",
    "NAME",
    "PHONE",
    "US_SOCIAL_SECURITY_NUMBER",
)
_STRENGTH: Final = "HIGH"  # of the filter of prompt attacks
_BLOCKED_INPUT: Final = "The guardrail has blocked this text; a person has to read it."
_BLOCKED_OUTPUT: Final = "The guardrail has blocked the answer; a person has to read the text."


class ModelGuardrail(Construct):
    """A guardrail, and a version of it that does not change.

    Attributes:
        arn: of the guardrail.
        guardrail_id: what a request names.
        version: the number beside it.
    """

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, removal_policy: RemovalPolicy
    ) -> None:
        """Makes both; a change of the rules makes another version, and a kept one stays."""
        super().__init__(scope, id)
        guardrail = _Guardrail(
            self,
            "Guardrail",
            name=guardrail_name(settings),
            description="Prompt attacks in the text, personal data in the answer",
            blocked_input_messaging=_BLOCKED_INPUT,
            blocked_outputs_messaging=_BLOCKED_OUTPUT,
            content_policy_config=_Guardrail.ContentPolicyConfigProperty(
                filters_config=[
                    # An attack is in a prompt: the API takes NONE alone for the output.
                    _Guardrail.ContentFilterConfigProperty(
                        type="PROMPT_ATTACK", input_strength=_STRENGTH, output_strength="NONE"
                    )
                ]
            ),
            sensitive_information_policy_config=(
                _Guardrail.SensitiveInformationPolicyConfigProperty(
                    pii_entities_config=[
                        _Guardrail.PiiEntityConfigProperty(
                            type=kind,
                            action="ANONYMIZE",
                            input_action="NONE",
                            output_action="ANONYMIZE",
                        )
                        for kind in _PERSONAL
                    ]
                )
            ),
        )
        # CloudFormation makes a version once: its id changes with what it is a version of.
        rules = canonical_json([_PERSONAL, _STRENGTH, _BLOCKED_INPUT, _BLOCKED_OUTPUT])
        version = bedrock.CfnGuardrailVersion(
            self,
            f"Version{sha256_bytes(rules)[:8]}",
            guardrail_identifier=guardrail.attr_guardrail_id,
        )
        version.apply_removal_policy(removal_policy)
        self.arn: str = guardrail.attr_guardrail_arn
        self.guardrail_id: str = guardrail.attr_guardrail_id
        self.version: str = version.attr_version


_GUARDED = "bedrock:guardrailidentifier"


def _without_guardrail(resources: Sequence[Resource]) -> Iterator[Finding]:
    policies = dict.fromkeys(("ManagedPolicy", "Policy", "RolePolicy"), "PolicyDocument")
    for resource in resources:
        kind = resource.kind.removeprefix("AWS::IAM::")
        path = "Policies.*.PolicyDocument" if kind == "Role" else policies.get(kind, "")
        for document in values_at(resource.properties, path) if path else ():
            for statement in statements_of(document):
                # A wildcard over all models or actions is a finding of its own.
                asks = any(action.startswith(_INVOKE) for action in statement.actions)
                imported = any(":imported-model/" in arn for arn in statement.resources)
                unguarded = _GUARDED not in statement.condition_keys
                if statement.effect == "Allow" and asks and imported and unguarded:
                    yield Finding(resource=resource, where=f"Properties/{path.split('.')[0]}")


def _drafts(resources: Sequence[Resource]) -> Iterator[Finding]:
    versions = [item for item in resources if item.kind == "AWS::Bedrock::GuardrailVersion"]
    named = " ".join(text(item.properties.get("GuardrailIdentifier", "")) for item in versions)
    for item in resources:
        if item.kind == "AWS::Bedrock::Guardrail" and item.logical_id not in named:
            yield Finding(resource=item, where="Properties")


RULES = (
    Rule(
        name="invoked-through-guardrail",
        description="A policy allows calls to an imported model without the guardrail.",
        fix="Add a condition on bedrock:GuardrailIdentifier.",
        check=_without_guardrail,
    ),
    Rule(
        name="guardrail-version",
        description="A guardrail has no version: each change of its draft changes what its "
        "callers get.",
        fix="Add an AWS::Bedrock::GuardrailVersion of it.",
        check=_drafts,
    ),
)


class Bedrock(EnvironmentStack):
    """Imported models come from `sashiko model bedrock import`: CloudFormation has no type."""

    def __init__(self, scope: Construct, deployment: Deployment, *, artifacts_key_arn: str) -> None:
        """Makes what an import and an invocation need."""
        super().__init__(
            scope,
            "Bedrock",
            deployment,
            stateful=True,
            description="Guardrail, key and permissions on Amazon Bedrock",
        )
        settings = self.settings
        kept: Any = {"settings": settings, "removal_policy": self.removal_policy}
        key = DomainKey(self, "Key", domain=KEY, **kept)
        guardrail = ModelGuardrail(self, "Rules", **kept)
        ModelAccess(
            self,
            "Access",
            settings=settings,
            artifacts_key_arn=artifacts_key_arn,
            models_key_arn=key.key_arn,
            guardrail_arn=guardrail.arn,
        )
        # What a request to an imported model names.
        CfnOutput(self, "GuardrailId", value=guardrail.guardrail_id)
        CfnOutput(self, "GuardrailVersion", value=guardrail.version)


def bedrock_stacks(app: App, deployment: Deployment, *, artifacts_key_arn: str) -> list[Bedrock]:
    """Adds the stack where the environment's settings turn Bedrock on."""
    if not deployment.settings.section(BedrockSection).enabled:
        return []
    return [Bedrock(app, deployment, artifacts_key_arn=artifacts_key_arn)]
