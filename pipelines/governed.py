"""The steps that read the governed lake: a snapshot of a view, and its validation."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sagemaker.mlops.workflow.steps import ProcessingStep

from pipelines.jobs import Jobs, Uri, joined, output_uri, step_module
from sashiko.aws.images import JobImages


@dataclass(frozen=True)
class GovernedData:
    """Makes the steps between the lake and everything that reads its rows.

    Attributes:
        jobs: makes steps.
        images: what they run in.
        config: step name -> URI of its configuration channel.
        snapshots: S3 URI below which the snapshots of this contract lie.
        lake_uri: where the lake lies.
        as_of: the day that a snapshot is of.
    """

    jobs: Jobs
    images: JobImages
    config: Mapping[str, str]
    snapshots: str
    lake_uri: Uri
    as_of: Uri

    def training(self) -> tuple[ProcessingStep, ProcessingStep]:
        """Snapshot and Validate: the columns that a model may learn from."""
        rows = self._snapshot("Snapshot", role="broker", view="training")
        return rows, self._validate("Validate", role="broker", view="training", snapshot=rows)

    def facets(self, training: ProcessingStep) -> tuple[ProcessingStep, ProcessingStep]:
        """SnapshotFacets and ValidateFacets: the facets of the same rows.

        Args:
            training: Snapshot.
        """
        of = {"role": "bias-evaluator", "view": "facets"}
        same_rows = {"training-manifest": output_uri(training, "manifest")}
        rows = self._snapshot("SnapshotFacets", **of, inputs=same_rows)
        return rows, self._validate("ValidateFacets", **of, snapshot=rows)

    def _snapshot(
        self, name: str, *, role: str, view: str, inputs: Mapping[str, Uri] = MappingProxyType({})
    ) -> ProcessingStep:
        return self.jobs.processing(
            name,
            role=role,
            image=self.images.job,
            entrypoint=step_module("snapshot"),
            arguments=["--view", view, "--lake-uri", self.lake_uri, "--as-of", self.as_of],
            # The one step that calls AWS itself; what a container's environment says of the
            # region is not documented for Processing.
            environment={"AWS_REGION": self.jobs.settings.region},
            inputs={"config": self.config[name], **inputs},
            outputs={
                output: joined(self.snapshots, self.as_of, view, output)
                for output in ("data", "manifest")
            },
            isolated=False,
            cached=False,
        )

    def _validate(
        self, name: str, *, role: str, view: str, snapshot: ProcessingStep
    ) -> ProcessingStep:
        return self.jobs.processing(
            name,
            role=role,
            image=self.images.job,
            entrypoint=step_module("validate"),
            arguments=["--view", view],
            inputs={
                "config": self.config[name],
                "data": output_uri(snapshot, "data"),
                "manifest": output_uri(snapshot, "manifest"),
            },
            outputs=("verdict", "docs"),
            verdict=True,
        )
