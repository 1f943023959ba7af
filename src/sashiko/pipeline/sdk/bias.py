"""The bias evaluator's steps in the model part of the pipeline; no other role reads a facet."""

from dataclasses import dataclass
from typing import Literal

from sagemaker.mlops.workflow.steps import ProcessingStep

from sashiko.account.images.job_images import JobImage
from sashiko.account.names import SnapshotFolder, snapshots_uri
from sashiko.base.files import canonical_json
from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.bias.gates.label_change import CHAMPION_LABELS
from sashiko.contract.load import load_contract
from sashiko.errors import InputError
from sashiko.pipeline.sdk.jobs import Jobs, Part, PartOutput, PartStep, Uri, output_uri

__all__ = ["BiasEvaluator"]


@dataclass(frozen=True)
class BiasEvaluator:
    """Creates the steps of a pipeline whose recipe has `bias.judged: true`."""

    jobs: Jobs
    facets: ProcessingStep  # SnapshotFacets

    def pre_training(self) -> Part:
        """PreBias: the bias of the labels; `post_training` creates its step.

        Raises:
            InputError: if Clarify's own image would take a number for classes.
        """
        contract = load_contract(self.jobs.contract_file)
        column = contract.column(contract.label.column)
        # It takes whole numbers for classes where the different ones are few for the rows
        # (aws/amazon-sagemaker-clarify, common.py), so the bound would be the one good value.
        is_whole = contract.is_number and column.logical_type == "integer"
        if is_whole and self.jobs.settings.bias.backend == "clarify":
            raise InputError(
                f"key `bias.backend`: Clarify may take the whole numbers of label `{column.name}` "
                f"for classes; in {self.jobs.contract_file} give it `logicalType: number` and load "
                "the data again, or set `own`"
            )
        return self._analysis("PreBias", "pre", rows=output_uri(self.facets, "data"))

    def weights(self, rows: Uri) -> ProcessingStep:
        """Weights: a weight for each training row, so that Train and Evaluate need no facet.

        `rows` is what Prepare splits; the step finds the same train split itself, so that neither
        waits for the other.
        """
        return self.jobs.processing(
            "Weights",
            role="bias-evaluator",
            module="sashiko.bias.steps.weights",
            config=("contract", "data", "text", "reweighing"),
            inputs={"facets": output_uri(self.facets, "data"), "data": rows},
            # A row's weight and label together reveal its facets, so the weights have their own
            # folder. The training role reads it for Train and for the linear baseline of Evaluate.
            outputs={"weights": self._uri("Weights", "weights", folder="weights")},
        )

    def post_training(
        self,
        evaluate: ProcessingStep | PartStep,
        *,
        pre_bias: Part,
        champion: ProcessingStep | None = None,
    ) -> tuple[PartStep, PartStep]:
        """BiasInput, PostBias and JudgeBias: the bias of the predictions, and the verdict.

        `evaluate` has the predictions; `champion` is ResolveChampion, which a gate on the change of
        a label metric needs. Returns BiasInput and JudgeBias.

        Raises:
            InputError: if a gate needs the champion, and there is no such step.
        """
        labels = {}
        if self.jobs.recipe.bias.compares_labels:
            if champion is None:
                raise InputError(
                    f"recipe {self.jobs.recipe.name}: a gate of `bias.gates` has `change_since`: "
                    "pass `champion=champion` to `bias.post_training` in pipelines/finetune.py"
                )
            labels = {CHAMPION_LABELS: output_uri(champion, CHAMPION_LABELS)}
        rows = Part(
            name="BiasInput",
            role="bias-evaluator",
            module="sashiko.bias.steps.bias_input",
            image=self._own_image(),
            config=("contract",),
            inputs={
                "predictions": output_uri(evaluate, "predictions"),
                "facets": output_uri(self.facets, "data"),
            },
            outputs={
                "data": self._uri("BiasInput", "data", folder="facets"),
                # Not in the folder of the rows, where Clarify would read it as data.
                "meta": self._uri("BiasInput", "meta", folder="facets"),
            },
        )
        analysis = self._analysis("PostBias", "post", rows=PartOutput("BiasInput", "data"))
        judgement = Part(
            name="JudgeBias",
            role="bias-evaluator",
            module="sashiko.bias.steps.judge_bias",
            image=self._own_image(),
            config=("contract", "bias", "reweighing", "evaluate"),
            inputs={
                "pre-analysis": PartOutput("PreBias", "analysis_result"),
                "post-analysis": PartOutput("PostBias", "analysis_result"),
                "facets": output_uri(self.facets, "data"),
                "data": PartOutput("BiasInput", "data"),
                "data-meta": PartOutput("BiasInput", "meta"),
                **labels,
            },
            outputs=("verdict", "intervals", "evidence"),
        )
        _, bias_input, _, judge_bias = self.jobs.chain(pre_bias, rows, analysis, judgement)
        return bias_input, judge_bias

    def _own_image(self) -> JobImage | None:
        """Returns the one image of all these steps; None where Clarify's is that of two."""
        return self.jobs.images.bias if self.jobs.settings.bias.backend == "own" else None

    def _uri(self, step: str, output: str, *, folder: SnapshotFolder) -> Uri:
        # Of an output that reveals a row's facets.
        prefix = f"{snapshots_uri(self.jobs.settings, folder)}/runs"
        return self.jobs.execution_uri(step, output, prefix=prefix)

    def _analysis(self, name: str, kind: Literal["pre", "post"], *, rows: Uri | PartOutput) -> Part:
        """Returns an analysis; its configuration is in Clarify's own format."""
        config = analysis_config(load_contract(self.jobs.contract_file), kind=kind)
        files = {"analysis_config.json": canonical_json(config)}
        own = self._own_image()
        return Part(
            name=name,
            role="bias-evaluator",
            module="sashiko.bias.steps.clarify_bias" if own else None,
            image=own or self.jobs.images.bias,
            inputs={"config": self.jobs.channel("config", files), "data": rows},
            outputs=("analysis_result",),
            clarify=True,
        )
