"""Batch scoring, as a pack."""

from typing import Final

from sashiko.packs import Pack, PackPipeline

PACK: Final = Pack(
    name="batch",
    recipe_sections={"batch": "sashiko_packs.batch.settings:BatchSection"},
    environment_sections={"batch": "sashiko_packs.batch.settings:BatchJobs"},
    pipelines=(
        PackPipeline(
            module="batch",
            description="Scores rows of the lake by an approved version of {recipe}",
            costs="sashiko_packs.batch.cost:batch_costs",
        ),
    ),
    home={"batch": "runs of the batch pipeline"},
    commands={"batch": "sashiko_packs.batch.commands:app"},
    panels={"batch": "Using a model"},
)
