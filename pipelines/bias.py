"""The bias evaluator's steps inside the model's part of the pipeline; nobody else reads a facet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sagemaker.mlops.workflow.steps import ProcessingStep

from pipelines.account import Uri
from pipelines.jobs import Jobs, output_uri, step_module
from sashiko.aws.images.job_images import JobImages
from sashiko.aws.names import SnapshotFolder, snapshots_uri


@dataclass(frozen=True)
class BiasEvaluator:
    """Makes the steps that a pipeline has only where bias is judged.

    Attributes:
        jobs: makes steps.
        images: what they run in.
        config: step name -> URI of its configuration channel.
        facets: the step SnapshotFacets.
    """

    jobs: Jobs
    images: JobImages
    config: Mapping[str, str]
    facets: ProcessingStep

    def labels(self) -> ProcessingStep:
        """PreBias: the bias of the labels."""
        return self.jobs.processing(
            "PreBias",
            role="bias-evaluator",
            image=self.images.bias,
            inputs={"config": self.config["PreBias"], "data": output_uri(self.facets, "data")},
            outputs=("analysis_result",),
            clarify=True,
        )

    def weights(self, prepare: ProcessingStep) -> ProcessingStep:
        """Weights: a weight for each training row, so that Train and Evaluate need no facet."""
        inputs = {
            "facets": output_uri(self.facets, "data"),
            "train": output_uri(prepare, "train"),
        }
        # A row's weight and label together give its facets away: a folder of its own,
        # which the training role reads: for Train, and for the linear baseline of Evaluate.
        weights = self._uri("Weights", "weights", folder="weights")
        return self._step("Weights", "weights", inputs=inputs, outputs={"weights": weights})

    def predictions(
        self, evaluate: ProcessingStep, *, labels: ProcessingStep
    ) -> tuple[ProcessingStep, ProcessingStep, ProcessingStep]:
        """BiasInput, PostBias and JudgeBias: the bias of the predictions, and the verdict.

        Args:
            evaluate: the step with the predictions.
            labels: PreBias.
        """
        joined_inputs = {
            "predictions": output_uri(evaluate, "predictions"),
            "facets": output_uri(self.facets, "data"),
        }
        rows = {
            "data": self._uri("BiasInput", "data", folder="facets"),
            # It names no row; beside the rows it would be one of Clarify's files.
            "meta": self._uri("BiasInput", "meta", folder="facets"),
        }
        joined = self._step("BiasInput", "bias_input", inputs=joined_inputs, outputs=rows)
        analysed = self.jobs.processing(
            "PostBias",
            role="bias-evaluator",
            image=self.images.bias,
            inputs={"config": self.config["PostBias"], "data": output_uri(joined, "data")},
            outputs=("analysis_result",),
            clarify=True,
        )
        judged_inputs = {
            "pre-analysis": output_uri(labels, "analysis_result"),
            "post-analysis": output_uri(analysed, "analysis_result"),
            "facets": output_uri(self.facets, "data"),
            "data": output_uri(joined, "data"),
            "data-meta": output_uri(joined, "meta"),
        }
        outputs = ("verdict", "intervals")
        judged = self._step("JudgeBias", "judge_bias", inputs=judged_inputs, outputs=outputs)
        return joined, analysed, judged

    def _uri(self, step: str, output: str, *, folder: SnapshotFolder) -> Uri:
        """Names the prefix of an output that tells a row's facets."""
        below = f"{snapshots_uri(self.jobs.settings, folder)}/runs"
        return self.jobs.execution_uri(step, output, below=below)

    def _step(
        self,
        name: str,
        module: str,
        *,
        inputs: Mapping[str, Uri],
        outputs: Sequence[str] | Mapping[str, Uri],
    ) -> ProcessingStep:
        return self.jobs.processing(
            name,
            role="bias-evaluator",
            image=self.images.job,
            entrypoint=step_module(module),
            inputs={"config": self.config[name], **inputs},
            outputs=outputs,
        )
