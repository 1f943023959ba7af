"""The gates: Lambda steps that fail with the reason if a verdict or release blocks the run.

SageMaker supports no nested Condition steps, and no step may depend on one; each step after a gate
depends on it (docs/decisions/0020-gates.md).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sagemaker.core.lambda_helper import Lambda
from sagemaker.mlops.workflow.lambda_step import LambdaStep
from sagemaker.mlops.workflow.steps import ProcessingStep

from sashiko.account.names import function_arn
from sashiko.pipeline.sdk.jobs import Jobs, Uri, join_uri, output_uri

__all__ = ["Gates"]


@dataclass(frozen=True)
class Gates:
    """Creates the gates of one environment's pipeline."""

    jobs: Jobs

    def on_verdicts(self, name: str, judges: Sequence[ProcessingStep]) -> LambdaStep:
        """Creates a gate that opens if every verdict passed; later steps start after it.

        Args:
            name: the step's name.
            judges: the steps whose output `verdict` holds a `verdict.json`.
        """
        return self._gate(name, {step.name: _file(step, "verdict") for step in judges})

    def on_release(self, name: str, step: ProcessingStep) -> LambdaStep:
        """Creates a gate that opens for a release, waivers included; later steps start after it.

        Args:
            name: the step's name.
            step: the step whose output `release` holds a `release.json`.
        """
        return self._gate(name, {step.name: _file(step, "release")})

    def _gate(self, name: str, inputs: Mapping[str, Uri]) -> LambdaStep:
        arn = function_arn(self.jobs.settings, "gatekeeper")
        step = LambdaStep(
            name=name,
            lambda_func=Lambda(function_arn=arn, session=self.jobs.session),
            inputs=dict(inputs),
        )
        # What it reads lies behind the gate before it.
        self.jobs.add(step, gated=False)
        self.jobs.continue_after(step)
        return step


def _file(step: ProcessingStep, output: str) -> Uri:
    return join_uri(output_uri(step, output), f"{output}.json")
