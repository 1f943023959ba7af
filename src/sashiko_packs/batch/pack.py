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
            costs="a run of the batch pipeline, about and at most:",
        ),
    ),
    bucket_parts="sashiko_packs.batch.constructs:protect_rows",
    endpoints="sashiko_packs.batch.constructs:interface_endpoints",
    lake_contracts="sashiko_packs.batch.constructs:lake_contracts",
    lake_parts="sashiko_packs.batch.constructs:add_batch_access",
    lake_tables="sashiko_packs.batch.constructs:answer_tables",
    pipeline_parts="sashiko_packs.batch.constructs:add_schedule",
    jobs="sashiko_packs.batch.constructs:scoring_jobs",
    captures="sashiko_packs.batch.constructs:is_scheduled",
    roles="sashiko_packs.batch.constructs:ROLES",
    staged="sashiko_packs.batch.account:stage_records",
    actions=("glue:CreatePartition",),
    home={"batch": "runs of the batch pipeline"},
    commands={"batch": "sashiko_packs.batch.commands:app"},
    panels={"batch": "Using a model"},
)
