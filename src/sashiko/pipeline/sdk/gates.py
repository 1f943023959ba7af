"""The gates: Lambda steps that fail with the reason if a verdict or release blocks the run.

SageMaker supports no nested Condition steps, and no step may depend on one; each step after a gate
depends on it (docs/decisions/0020-gates.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.lambda_step import LambdaStep
from sagemaker.mlops.workflow.steps import ProcessingStep

from sashiko.account.names import function_arn
from sashiko.pipeline.sdk.jobs import join_uri, output_uri
from sashiko.pipeline.sdk.network_and_keys import Uri
from sashiko.settings.environment import Settings

__all__ = ["Gates"]


@dataclass(frozen=True)
class Gates:
    """Creates the gates of one environment's pipeline."""

    settings: Settings
    session: PipelineSession

    def on_verdicts(self, name: str, judges: Sequence[ProcessingStep]) -> LambdaStep:
        """Creates a gate that opens if every verdict passed.

        Args:
            name: the step's name.
            judges: the steps whose output `verdict` holds a `verdict.json`.
        """
        return self._gate(name, {step.name: _file(step, "verdict") for step in judges})

    def on_release(self, name: str, step: ProcessingStep) -> LambdaStep:
        """Creates a gate that opens for a release, which includes the recipe's waivers.

        Args:
            name: the step's name.
            step: the step whose output `release` holds a `release.json`.
        """
        return self._gate(name, {step.name: _file(step, "release")})

    def _gate(self, name: str, inputs: Mapping[str, Uri]) -> LambdaStep:
        arn = function_arn(self.settings, "gatekeeper")
        return LambdaStep(
            name=name,
            lambda_func=Lambda(function_arn=arn, session=self.session),
            inputs=dict(inputs),
        )


def _file(step: ProcessingStep, output: str) -> Uri:
    return join_uri(output_uri(step, output), f"{output}.json")
