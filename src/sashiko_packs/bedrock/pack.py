"""Bedrock, as a pack."""

from typing import Final

from sashiko.packs import Pack

PACK: Final = Pack(
    name="bedrock",
    environment_sections={"bedrock": "sashiko_packs.bedrock.settings:BedrockSection"},
    commands={
        "model compare-import": "sashiko_packs.bedrock.commands.model_compare:compare_import",
        "model delete-import": "sashiko_packs.bedrock.commands.model_import:delete_import",
        "model import": "sashiko_packs.bedrock.commands.model_import:import_",
    },
)
