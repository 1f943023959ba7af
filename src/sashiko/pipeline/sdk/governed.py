"""The steps that read the governed lake: the snapshot of a view, and its validation."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sagemaker.mlops.workflow.steps import ProcessingStep

from sashiko.account.names import SnapshotView, snapshots_uri
from sashiko.base.files import sha256_file
from sashiko.pipeline.sdk.jobs import Jobs, Uri, join_uri, output_uri

__all__ = ["GovernedData"]


@dataclass(frozen=True)
class GovernedData:
    """Creates the steps between the lake and every step that reads its rows."""

    jobs: Jobs
    lake_uri: Uri  # location of the lake
    as_of: Uri  # the day of the snapshot

    def training(self) -> tuple[ProcessingStep, ProcessingStep]:
        """Snapshot and Validate: the columns that a model may learn from."""
        rows = self._snapshot("Snapshot", role="broker", view="training")
        return rows, self._validate("Validate", role="broker", view="training", snapshot=rows)

    def facets(self, training: ProcessingStep) -> tuple[ProcessingStep, ProcessingStep]:
        """SnapshotFacets, and ValidateFacets, which compares its rows with Snapshot's."""
        role, same_rows = "bias-evaluator", {"training-manifest": output_uri(training, "manifest")}
        rows = self._snapshot("SnapshotFacets", role=role, view="facets")
        return rows, self._validate(
            "ValidateFacets", role=role, view="facets", snapshot=rows, more=same_rows
        )

    def _snapshot(self, name: str, *, role: str, view: SnapshotView) -> ProcessingStep:
        folder = snapshots_uri(self.jobs.settings, view)
        contract_version = sha256_file(self.jobs.contract_file)[:16]
        return self.jobs.processing(
            name,
            role=role,
            module="sashiko.steps.snapshot",
            config=("contract",),
            arguments=["--view", view, "--lake-uri", self.lake_uri, "--as-of", self.as_of],
            # The step calls AWS; SageMaker does not document the region in a Processing
            # environment.
            environment={"AWS_REGION": self.jobs.settings.region},
            outputs={
                # Each version of the contract has its own snapshots.
                "data": join_uri(folder, "data", contract_version, self.as_of),
                # One per execution: the manifest is evidence, so no later execution replaces it,
                # and a step that reads it has no cache hit for other rows.
                "manifest": self.jobs.execution_uri(name, "manifest"),
            },
            isolated=False,
            cached=False,
        )

    def _validate(
        self,
        name: str,
        *,
        role: str,
        view: SnapshotView,
        snapshot: ProcessingStep,
        more: Mapping[str, Uri] = MappingProxyType({}),
    ) -> ProcessingStep:
        runs = f"{snapshots_uri(self.jobs.settings, view)}/runs"
        return self.jobs.processing(
            name,
            role=role,
            module="sashiko.steps.validate",
            config=("contract",),
            arguments=["--view", view],
            inputs={key: output_uri(snapshot, key) for key in ("data", "manifest")} | dict(more),
            outputs={
                "verdict": self.jobs.execution_uri(name, "verdict"),
                "evidence": self.jobs.execution_uri(name, "evidence"),
                # Data Docs quote values that broke a rule, so they are stored with the rows.
                "docs": self.jobs.execution_uri(name, "docs", prefix=runs),
            },
        )
