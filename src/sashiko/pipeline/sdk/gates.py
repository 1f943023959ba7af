"""The gates: Lambda steps that fail with the reason if a verdict or release blocks the run.

SageMaker supports no nested Condition steps, and no step may depend on one; each step after a gate
depends on it (docs/decisions/0020-gates.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sagemaker.core.lambda_helper import Lambda
from sagemaker.mlops.workflow.lambda_step import LambdaStep
from sagemaker.mlops.workflow.steps import ProcessingStep

from sashiko.account.names import function_arn
from sashiko.pipeline.sdk.jobs import Jobs, join_uri, output_uri

__all__ = ["Gates"]


@dataclass(frozen=True)
class Gates:
    """Creates the gates of one environment's pipeline."""

    jobs: Jobs

    def on_verdicts(self, name: str, judges: Sequence[ProcessingStep]) -> LambdaStep:
        """Creates a gate that opens if every verdict passed; later steps start after it.

        The judges' outputs `verdict` hold a `verdict.json`.
        """
        return self._gate(name, judges, "verdict")

    def on_release(self, name: str, step: ProcessingStep) -> LambdaStep:
        """Creates a gate that opens for a release, waivers included; later steps start after it.

        The step's output `release` holds a `release.json`.
        """
        return self._gate(name, [step], "release")

    def _gate(self, name: str, judges: Sequence[ProcessingStep], output: str) -> LambdaStep:
        arn = function_arn(self.jobs.settings, "gatekeeper")
        step = LambdaStep(
            name=name,
            lambda_func=Lambda(function_arn=arn, session=self.jobs.session),
            inputs={
                item.name: join_uri(output_uri(item, output), f"{output}.json") for item in judges
            },
        )
        # What it reads lies behind the gate before it.
        self.jobs.add(step, gated=False)
        self.jobs.continue_after(step)
        return step
