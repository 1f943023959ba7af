"""The steps of the monitoring pipeline: a window of a deployed model's captured requests.

Row-level data stay where their reader is: decoded requests in the capture bucket, the ledger and
the labels in the snapshots bucket, facets with the bias evaluator. Only aggregates go further.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sagemaker.core.workflow.parameters import ParameterString
from sagemaker.mlops.workflow.steps import ProcessingStep

from sashiko.account.names import lake_uri, model_package_group_name
from sashiko.pipeline.sdk.jobs import Jobs, Uri, join_uri, output_uri
from sashiko.settings.environment import Settings
from sashiko_packs.monitoring.places import JOBS_ROLE, MonitorPlaces, may_be_silent, monitor_places

__all__ = ["MonitorParameters", "Monitoring", "monitor_parameters"]


@dataclass(frozen=True)
class MonitorParameters:
    """The parameters of the monitoring pipeline."""

    capture_uri: ParameterString  # S3 URI of the endpoint's captures, above `version=<n>`
    version: ParameterString  # the version that is judged
    window_start: ParameterString  # begin of the window, ISO 8601 in UTC
    window_end: ParameterString  # its end, likewise; not part of it
    now: ParameterString  # the time of the read, likewise
    reference_uri: ParameterString  # S3 URI of the folder with the version's `reference.json`
    test_uri: ParameterString  # S3 URI of the test split that the reference describes
    bias_rows_uri: ParameterString  # S3 URI of that split's decisions and facets
    # Location of the lake, whose facets are read; its scheme selects the engine.
    lake_uri: ParameterString
    as_of: ParameterString  # the version of the table's data, or `none`

    def all(self, *, judges_bias: bool) -> list[ParameterString]:
        """Returns them in the order of the definition."""
        bias = [self.bias_rows_uri, self.lake_uri, self.as_of] if judges_bias else []
        return [
            self.capture_uri, self.version, self.window_start, self.window_end, self.now,
            self.reference_uri, self.test_uri, *bias,
        ]  # fmt: skip


def monitor_parameters(settings: Settings) -> MonitorParameters:
    """Declares the parameters; each execution names its window, its version and the data's.

    `local` has no lake by default: `sashiko monitor` passes it.
    """
    lake = None if settings.tier == "local" else lake_uri(settings)
    return MonitorParameters(
        capture_uri=ParameterString("CaptureUri"), version=ParameterString("ModelVersion"),
        window_start=ParameterString("WindowStart"), window_end=ParameterString("WindowEnd"),
        now=ParameterString("Now"), reference_uri=ParameterString("ReferenceUri"),
        test_uri=ParameterString("TestUri"), bias_rows_uri=ParameterString("BiasRowsUri"),
        lake_uri=ParameterString("LakeUri", default_value=lake), as_of=ParameterString("AsOf"),
    )  # fmt: skip


@dataclass(frozen=True)
class Monitoring:
    """Creates the steps of the monitoring pipeline."""

    jobs: Jobs  # creates steps
    parameters: MonitorParameters  # of the pipeline

    def read_capture(self) -> ProcessingStep:
        """ReadCapture: the window's requests as rows."""
        places = self._places
        return self._step(
            "ReadCapture",
            module="sashiko_packs.monitoring.steps.read_capture",
            inputs={
                "capture": self.parameters.capture_uri,
                "reference": self.parameters.reference_uri,
            },
            outputs={
                "rows": self.jobs.execution_uri("ReadCapture", "rows", prefix=places.decoded),
                "summary": self.jobs.execution_uri("ReadCapture", "summary"),
            },
            arguments=[*self._window, *self._version],
        )

    def input_quality(self, capture: ProcessingStep) -> ProcessingStep:
        """InputQuality: the contract's rules of the captured columns."""
        return self._step(
            "InputQuality",
            module="sashiko_packs.monitoring.steps.input_quality",
            config=("contract", "monitor"),
            inputs={"rows": output_uri(capture, "rows")},
            outputs=("checks",),
        )

    def drift(self, capture: ProcessingStep) -> ProcessingStep:
        """Drift: columns, scores and texts against the version's held-out rows."""
        return self._step(
            "Drift",
            module="sashiko_packs.monitoring.steps.drift",
            config=("monitor",),
            inputs={
                "rows": output_uri(capture, "rows"),
                "reference": self.parameters.reference_uri,
                "test": self.parameters.test_uri,
            },
            outputs=("drift",),
        )

    def join_labels(self, capture: ProcessingStep) -> ProcessingStep:
        """JoinLabels: the ledger with the window, and how right it was by the labels so far."""
        places = self._places
        return self._step(
            "JoinLabels",
            module="sashiko_packs.monitoring.steps.join_labels",
            config=("contract", "monitor"),
            inputs={
                "rows": output_uri(capture, "rows"),
                "ledger": places.ledger,
                "labels": places.labels,
                "draws": places.draws,
                "reference": self.parameters.reference_uri,
            },
            outputs={
                "ledger": places.ledger,
                "quality": self.jobs.execution_uri("JoinLabels", "quality"),
                "decisions": self.jobs.execution_uri(
                    "JoinLabels", "decisions", prefix=places.decisions
                ),
            },
            arguments=[*self._window, *self._version],
        )

    def bias(self, labels: ProcessingStep) -> ProcessingStep:
        """MonitorBias: disparate impact of the window; the only step that reads facets.

        It reads them from the lake, so it is not isolated.
        """
        return self._step(
            "MonitorBias",
            role="bias-evaluator",
            module="sashiko_packs.monitoring.steps.bias",
            config=("contract", "bias", "monitor"),
            inputs={
                "decisions": output_uri(labels, "decisions"),
                "bias-rows": self.parameters.bias_rows_uri,
            },
            outputs=("bias",),
            arguments=["--lake-uri", self.parameters.lake_uri, "--as-of", self.parameters.as_of],
            # As for a snapshot: the step calls AWS.
            environment={"AWS_REGION": self.jobs.settings.region},
            isolated=False,
        )

    def judge(
        self,
        *,
        capture: ProcessingStep,
        input_quality: ProcessingStep,
        drift: ProcessingStep,
        labels: ProcessingStep,
        bias: ProcessingStep | None,
    ) -> ProcessingStep:
        """JudgeMonitor: all checks of the window together, and what the report shows.

        `bias` is None if the recipe does not judge bias.
        """
        return self._step(
            "JudgeMonitor",
            module="sashiko_packs.monitoring.steps.judge",
            config=("monitor",),
            inputs={
                "summary": output_uri(capture, "summary"),
                "checks": output_uri(input_quality, "checks"),
                "drift": output_uri(drift, "drift"),
                "quality": output_uri(labels, "quality"),
                **({"bias": output_uri(bias, "bias")} if bias else {}),
                "reference": self.parameters.reference_uri,
                "history": self._places.windows,
            },
            # What the report, and the windows after it, are made of.
            outputs={
                "result": join_uri(
                    self._places.windows,
                    self.parameters.version,
                    self.parameters.window_start,
                    self.parameters.window_end,
                )
            },
            arguments=[
                "--group",
                model_package_group_name(self.jobs.settings, self.jobs.recipe.model_package_group),
                "--recipe",
                self.jobs.recipe.name,
                *self._version,
                *(["--sleeps"] if may_be_silent(self.jobs.settings) else []),
            ],
        )

    @property
    def _places(self) -> MonitorPlaces:
        return monitor_places(self.jobs.settings, self.jobs.recipe)

    @property
    def _window(self) -> Sequence[Uri]:
        return [
            "--start", self.parameters.window_start,
            "--end", self.parameters.window_end,
            "--now", self.parameters.now,
        ]  # fmt: skip

    @property
    def _version(self) -> Sequence[Uri]:
        return ["--version", self.parameters.version]

    def _step(self, name: str, *, role: str = JOBS_ROLE, **options: Any) -> ProcessingStep:
        """Creates a step that is not cached: labels and captures arrive under equal URIs."""
        return self.jobs.processing(name, role=role, cached=False, **options)
