"""The bias evaluator's steps inside the model's part of the pipeline; nobody else reads a facet."""

from dataclasses import dataclass
from typing import Literal

from sagemaker.mlops.workflow.steps import ProcessingStep

from sashiko.aws.resources.names import SnapshotFolder, snapshots_uri
from sashiko.contract.bias_config import analysis_config
from sashiko.contract.load import load_contract
from sashiko.core.files import canonical_json
from sashiko.pipeline.sdk.account import Uri
from sashiko.pipeline.sdk.jobs import Jobs, output_uri


@dataclass(frozen=True)
class BiasEvaluator:
    """Makes the steps that a pipeline has only where bias is judged.

    Attributes:
        jobs: makes steps.
        facets: the step SnapshotFacets.
    """

    jobs: Jobs
    facets: ProcessingStep

    def labels(self) -> ProcessingStep:
        """PreBias: the bias of the labels."""
        return self._analysis("PreBias", "pre", rows=self.facets)

    def weights(self, prepare: ProcessingStep) -> ProcessingStep:
        """Weights: a weight for each training row, so that Train and Evaluate need no facet."""
        inputs = {
            "facets": output_uri(self.facets, "data"),
            "train": output_uri(prepare, "train"),
        }
        # A row's weight and label together give its facets away: a folder of its own,
        # which the training role reads: for Train, and for the linear baseline of Evaluate.
        weights = self._uri("Weights", "weights", folder="weights")
        return self.jobs.processing(
            "Weights",
            role="bias-evaluator",
            module="sashiko.steps.weights",
            config=("contract", "reweighing"),
            inputs=inputs,
            outputs={"weights": weights},
        )

    def predictions(
        self, evaluate: ProcessingStep, *, labels: ProcessingStep
    ) -> tuple[ProcessingStep, ProcessingStep, ProcessingStep]:
        """BiasInput, PostBias and JudgeBias: the bias of the predictions, and the verdict.

        Args:
            evaluate: the step with the predictions.
            labels: PreBias.
        """
        rows = self.jobs.processing(
            "BiasInput",
            role="bias-evaluator",
            module="sashiko.steps.bias_input",
            config=("contract",),
            inputs={
                "predictions": output_uri(evaluate, "predictions"),
                "facets": output_uri(self.facets, "data"),
            },
            outputs={
                "data": self._uri("BiasInput", "data", folder="facets"),
                # It names no row; beside the rows it would be one of Clarify's files.
                "meta": self._uri("BiasInput", "meta", folder="facets"),
            },
        )
        analysis = self._analysis("PostBias", "post", rows=rows)
        judgement = self.jobs.processing(
            "JudgeBias",
            role="bias-evaluator",
            module="sashiko.steps.judge_bias",
            config=("contract", "bias", "reweighing", "evaluate"),
            inputs={
                "pre-analysis": output_uri(labels, "analysis_result"),
                "post-analysis": output_uri(analysis, "analysis_result"),
                "facets": output_uri(self.facets, "data"),
                "data": output_uri(rows, "data"),
                "data-meta": output_uri(rows, "meta"),
            },
            outputs=("verdict", "intervals"),
        )
        return rows, analysis, judgement

    def _uri(self, step: str, output: str, *, folder: SnapshotFolder) -> Uri:
        """Names the prefix of an output that tells a row's facets."""
        below = f"{snapshots_uri(self.jobs.settings, folder)}/runs"
        return self.jobs.execution_uri(step, output, below=below)

    def _analysis(
        self, name: str, kind: Literal["pre", "post"], *, rows: ProcessingStep
    ) -> ProcessingStep:
        """Makes a step that Clarify's container could run: its configuration is Clarify's."""
        config = analysis_config(load_contract(self.jobs.contract_file), kind=kind)
        files = {"analysis_config.json": canonical_json(config)}
        return self.jobs.processing(
            name,
            role="bias-evaluator",
            image=self.jobs.images.bias,
            inputs={
                "config": self.jobs.channel("config", files),
                "data": output_uri(rows, "data"),
            },
            outputs=("analysis_result",),
            clarify=True,
        )
