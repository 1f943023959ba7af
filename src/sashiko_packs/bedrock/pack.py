"""Bedrock, as a pack."""

from typing import Final

from sashiko.packs import Pack

PACK: Final = Pack(
    name="bedrock",
    environment_sections={"bedrock": "sashiko_packs.bedrock.settings:BedrockSection"},
    checks={"Bedrock": "sashiko_packs.bedrock.doctor:check_bedrock"},
    drift="sashiko_packs.bedrock.doctor:compare_models",
    artifact_readers="sashiko_packs.bedrock.constructs:readers",
    bucket_parts="sashiko_packs.bedrock.constructs:protect_imports",
    rules="sashiko_packs.bedrock.constructs:RULES",
    roles="sashiko_packs.bedrock.constructs:ROLES",
    actions=(
        "bedrock:ApplyGuardrail",
        "bedrock:CountTokens",
        "bedrock:CreateModelImportJob",
        "bedrock:DeleteImportedModel",
        "bedrock:GetImportedModel",
        "bedrock:GetModelImportJob",
        "bedrock:InvokeModel",
        "bedrock:ListGuardrails",
        "bedrock:ListModelImportJobs",
        "bedrock:TagResource",
    ),
    stacks="sashiko_packs.bedrock.constructs:bedrock_stacks",
    commands={"model bedrock": "sashiko_packs.bedrock.commands:app"},
    renamed={
        "model compare-import": "model bedrock compare",
        "model delete-import": "model bedrock delete",
        "model import --to bedrock": "model bedrock import",
    },
)
