"""Who imports, deletes and invokes models, and what Bedrock reads for an import."""

from collections.abc import Mapping, Sequence
from typing import Final

from constructs import Construct

from sashiko.account.names import IMPORTS, MODELS, arn, bucket_name
from sashiko.settings.environment import Settings
from sashiko_cdk.identity.allow import Allowed, allow
from sashiko_cdk.identity.role_policy import RolePolicy
from sashiko_cdk.network.vpc_endpoints import Use
from sashiko_cdk.platform.signature_conditions import by_alias
from sashiko_packs.bedrock.settings import BedrockSection

__all__ = ["ModelAccess"]

APPLY_GUARDRAIL: Final = "bedrock:ApplyGuardrail"
LIST_GUARDRAILS: Final = "bedrock:ListGuardrails"
_BY_CONTENT = "Folders are named by their content."
_MADE_UP = "Bedrock makes up the ids of jobs and models; the condition asks for their tags."


def interface_endpoints(settings: Settings) -> Mapping[str, Use]:
    """Returns what the step Guardrail calls: it finds the newest version, and asks it."""
    if not settings.section(BedrockSection).enabled:
        return {}
    calls = {"bedrock": LIST_GUARDRAILS, "bedrock-runtime": APPLY_GUARDRAIL}
    return {
        name: Use(callers=("device-check",), actions=(action,)) for name, action in calls.items()
    }


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
        profile_arns: Sequence[str],
    ) -> None:
        """Lets the endpoint deployer import, Bedrock read, and the data scientist invoke.

        Args:
            scope: the stack.
            id: the construct's.
            settings: the environment.
            artifacts_key_arn: of the key of the artifacts bucket.
            models_key_arn: of the key that encrypts imported models.
            guardrail_arn: without which no imported model is invoked.
            profile_arns: of the inference profiles of foundation models.
        """
        super().__init__(scope, id)
        RolePolicy(
            self,
            "Reads",
            settings=settings,
            role="bedrock-import",
            description="Reads the folder of a model that it imports",
            statements=_reading(settings, artifacts_key_arn),
        )
        RolePolicy(
            self,
            "Imports",
            settings=settings,
            role="endpoint-deployer",
            description="Imports approved models into Bedrock, and deletes them there",
            statements=[
                *_taking_versions(settings, artifacts_key_arn),
                *_importing(settings, models_key_arn),
            ],
        )
        RolePolicy(
            self,
            "Guards",
            settings=settings,
            role="device-check",
            description="Asks the guardrail about the texts of a test split",
            statements=_guarding(guardrail_arn),
        )
        RolePolicy(
            self,
            "Invokes",
            settings=settings,
            role="data-scientist",
            description="Invokes imported models through the guardrail, and named models",
            statements=[
                *_invoking(settings, guardrail_arn, profile_arns, models_key_arn),
                *_comparing(settings, artifacts_key_arn),
            ],
        )


def _objects(settings: Settings, folder: str) -> str:
    return f"arn:aws:s3:::{bucket_name(settings, 'artifacts')}/{folder}/*"


def _listing(settings: Settings) -> Allowed:
    return allow(
        ["s3:ListBucket"],
        [f"arn:aws:s3:::{bucket_name(settings, 'artifacts')}"],
        conditions={"StringLike": {"s3:prefix": [f"{IMPORTS}/*"]}},
    )


def _reading(settings: Settings, key_arn: str) -> list[Allowed]:
    """See "Create a service role for importing pre-trained models", Bedrock User Guide."""
    return [
        allow(["s3:GetObject"], [_objects(settings, IMPORTS)], why=_BY_CONTENT),
        _listing(settings),
        allow(["kms:Decrypt"], [key_arn]),
    ]


def _taking_versions(settings: Settings, key_arn: str) -> list[Allowed]:
    """Lets a person read and verify signed versions, and upload what is made of them."""
    return [
        allow(["s3:GetObject"], [_objects(settings, MODELS)], why=_BY_CONTENT),
        allow(["s3:GetObject", "s3:PutObject"], [_objects(settings, IMPORTS)], why=_BY_CONTENT),
        _listing(settings),
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [key_arn]),
        _verifying(settings),
    ]


def _importing(settings: Settings, key_arn: str) -> list[Allowed]:
    return [
        allow(
            ["bedrock:CreateModelImportJob", "bedrock:ListModelImportJobs"],
            ["*"],
            why="Bedrock has no resource for them (Service Authorization Reference); the role that "
            "a job reads as is named below.",
        ),
        allow(
            ["bedrock:TagResource"],
            _models(settings, "imported-model", "model-import-job"),
            conditions=_tags(settings, "aws:RequestTag"),
            why=_MADE_UP,
        ),
        allow(
            ["bedrock:DeleteImportedModel", "bedrock:GetImportedModel"],
            _models(settings, "imported-model"),
            conditions=_tags(settings, "aws:ResourceTag"),
            why=_MADE_UP,
        ),
        allow(
            ["bedrock:GetModelImportJob"],
            _models(settings, "model-import-job"),
            conditions=_tags(settings, "aws:ResourceTag"),
            why=_MADE_UP,
        ),
        allow(
            ["iam:PassRole"],
            [settings.role_arn("bedrock-import")],
            conditions={"StringEquals": {"iam:PassedToService": "bedrock.amazonaws.com"}},
        ),
        # "Encryption of imported custom models", Amazon Bedrock User Guide.
        allow(
            ["kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"],
            [key_arn],
            conditions=_via_bedrock(settings),
        ),
    ]


def _guarding(guardrail_arn: str) -> list[Allowed]:
    return [
        allow(
            [LIST_GUARDRAILS],
            ["*"],
            why="Bedrock lists what an account has: the guardrail's id and number are looked up by "
            "its name.",
        ),
        allow([APPLY_GUARDRAIL], [guardrail_arn]),
    ]


def _comparing(settings: Settings, key_arn: str) -> list[Allowed]:
    """Lets a person verify a version and ask its imported model; the rows are ArtifactAccess's."""
    return [
        allow(
            ["bedrock:GetImportedModel"],
            _models(settings, "imported-model"),
            conditions=_tags(settings, "aws:ResourceTag"),
            why=_MADE_UP,
        ),
        allow(["s3:GetObject"], [_objects(settings, MODELS)], why=_BY_CONTENT),
        allow(["kms:Decrypt"], [key_arn]),
        _verifying(settings),
    ]


def _verifying(settings: Settings) -> Allowed:
    return allow(
        ["kms:Verify"],
        [arn(settings, "kms", "key/*")],
        conditions=by_alias(settings),
        why="KMS makes up a key's id; the condition names its aliases.",
    )


def _invoking(
    settings: Settings, guardrail_arn: str, profile_arns: Sequence[str], key_arn: str
) -> list[Allowed]:
    """Lets a person ask an imported model through the guardrail alone, and the named models."""
    through = {"ArnLike": {"bedrock:GuardrailIdentifier": f"{guardrail_arn}:*"}}
    invoke = ["bedrock:InvokeModel"]
    return [
        allow(
            invoke,
            _models(settings, "imported-model"),
            conditions={**_tags(settings, "aws:ResourceTag"), **through},
            why=_MADE_UP,
        ),
        *_guarding(guardrail_arn),
        allow(["kms:Decrypt"], [key_arn], conditions=_via_bedrock(settings)),
        *_asking(settings, profile_arns),
    ]


def _asking(settings: Settings, profile_arns: Sequence[str]) -> list[Allowed]:
    place = f"arn:aws:bedrock:{settings.region}::foundation-model"
    named = [f"{place}/{model}" for model in settings.section(BedrockSection).models]
    if not named:
        return []
    return [
        allow(["bedrock:InvokeModel"], [*profile_arns, *named]),
        allow(["bedrock:CountTokens"], named),
    ]


def _models(settings: Settings, *kinds: str) -> list[str]:
    return [arn(settings, "bedrock", f"{kind}/*") for kind in kinds]


def _tags(settings: Settings, key: str) -> dict[str, dict[str, str]]:
    tags = {"project": settings.project, "environment": settings.environment}
    return {"StringEquals": {f"{key}/{name}": value for name, value in tags.items()}}


def _via_bedrock(settings: Settings) -> dict[str, dict[str, str]]:
    return {"StringEquals": {"kms:ViaService": f"bedrock.{settings.region}.amazonaws.com"}}
