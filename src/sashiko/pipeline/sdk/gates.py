"""The gates: Lambda steps that fail with the reason if a verdict blocks the run.

SageMaker supports no nested Condition steps, and no step may depend on one; each step after a gate
depends on it (docs/decisions/0020-gates.md).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter
from sagemaker.core.lambda_helper import Lambda
from sagemaker.mlops.workflow.lambda_step import LambdaStep
from sagemaker.mlops.workflow.steps import ProcessingStep

from sashiko.account.names import function_arn
from sashiko.evaluation.gates.closed_gate import WAIVERS
from sashiko.pipeline.sdk.jobs import Jobs, PartStep, join_uri, output_uri

__all__ = ["Gates"]


@dataclass(frozen=True)
class Gates:
    """Creates the gates of one environment's pipeline."""

    jobs: Jobs

    def on_verdicts(
        self,
        name: str,
        judges: Sequence[ProcessingStep | PartStep],
        *,
        waivable: bool = False,
        after: Sequence[ProcessingStep | PartStep] = (),
    ) -> LambdaStep:
        """Creates a gate that opens if every verdict passed; later steps start after it.

        Args:
            name: the step's name.
            judges: steps whose outputs `verdict` hold a `verdict.json`.
            waivable: whether it opens for failed checks with one of the recipe's waivers, too.
            after: other steps that it waits for. A run ends where a gate closes, so what has to run
                in any case may wait for the same steps as the gate.
        """
        waivers = TypeAdapter(Any).dump_python(self.jobs.recipe.waivers, mode="json")
        verdicts = {
            item.name: join_uri(output_uri(item, "verdict"), "verdict.json") for item in judges
        }
        step = LambdaStep(
            name=name,
            lambda_func=Lambda(
                function_arn=function_arn(self.jobs.settings, "gatekeeper"),
                session=self.jobs.session,
            ),
            inputs=verdicts | ({WAIVERS: json.dumps(waivers)} if waivable else {}),
            depends_on=[item.step if isinstance(item, PartStep) else item for item in after],
        )
        self.jobs.add(step)
        self.jobs.continue_after(step)
        return step
