"""The gates: Lambda steps that fail, saying why, unless what they read lets the run go on.

SageMaker supports no nested Condition steps, and no step may depend on one; each step after a gate
depends on it (docs/decisions/0020-gates.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sagemaker.core.lambda_helper import Lambda
from sagemaker.core.workflow.pipeline_context import PipelineSession
from sagemaker.mlops.workflow.lambda_step import LambdaStep
from sagemaker.mlops.workflow.steps import ProcessingStep

from sashiko.aws.resources.names import function_arn
from sashiko.pipeline.sdk.account import Uri
from sashiko.pipeline.sdk.jobs import joined, output_uri
from sashiko.settings.environment import Settings


@dataclass(frozen=True)
class Gates:
    """Makes the gates of one environment's pipeline."""

    settings: Settings
    session: PipelineSession

    def on_verdicts(self, name: str, judges: Sequence[ProcessingStep]) -> LambdaStep:
        """Makes a gate that each of some verdicts opens.

        Args:
            name: the step's name.
            judges: the steps whose output `verdict` holds a `verdict.json`.
        """
        return self._gate(name, {step.name: _file(step, "verdict") for step in judges})

    def on_release(self, name: str, step: ProcessingStep) -> LambdaStep:
        """Makes a gate that a release opens, which counts the recipe's waivers.

        Args:
            name: the step's name.
            step: the step whose output `release` holds a `release.json`.
        """
        return self._gate(name, {step.name: _file(step, "release")})

    def _gate(self, name: str, reads: Mapping[str, Uri]) -> LambdaStep:
        arn = function_arn(self.settings, "gatekeeper")
        return LambdaStep(
            name=name,
            lambda_func=Lambda(function_arn=arn, session=self.session),
            inputs=dict(reads),
        )


def _file(step: ProcessingStep, output: str) -> Uri:
    return joined(output_uri(step, output), f"{output}.json")
