"""Guardrail: what the environment's guardrail on Bedrock does to the texts of the test split."""

from sagemaker.mlops.workflow.steps import ProcessingStep

from sashiko.pipeline.sdk.bias import BlockingStep
from sashiko.pipeline.sdk.jobs import Jobs, output_uri
from sashiko_packs.bedrock.settings import BedrockSection, guardrail_name

__all__ = ["guardrail_outcomes"]


def guardrail_outcomes(jobs: Jobs, prepare: ProcessingStep) -> BlockingStep | None:
    """Creates the step; None where no guardrail would stand before the recipe's model.

    That is where the environment has no stack `Bedrock`, the model is an encoder, which Bedrock
    does not import, or bias is not judged.

    Args:
        jobs: creates steps.
        prepare: the step with the test split.
    """
    settings, recipe = jobs.settings, jobs.recipe
    served = settings.section(BedrockSection).enabled and settings.tier != "local"
    if not served or recipe.model.family != "causal" or not recipe.bias.judged:
        return None
    step = jobs.processing(
        "Guardrail",
        role="device-check",
        module="sashiko_packs.bedrock.steps.guardrail",
        arguments=["--name", guardrail_name(settings)],
        # The step calls AWS; SageMaker does not document the region in a Processing environment.
        environment={"AWS_REGION": settings.region},
        inputs={"test": output_uri(prepare, "test")},
        outputs=("outcomes",),
        isolated=False,
        cached=False,  # the guardrail may have another version by now
    )
    return BlockingStep(step=step, maximum=settings.section(BedrockSection).guardrail_difference)
