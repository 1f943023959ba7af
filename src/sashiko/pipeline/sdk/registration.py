"""The steps that call the model registry and MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from sagemaker.core.workflow.execution_variables import ExecutionVariables
from sagemaker.core.workflow.parameters import ParameterString
from sagemaker.mlops.workflow.steps import ProcessingStep

from sashiko.account.names import (
    MODELS,
    bucket_name,
    key_alias,
    model_package_group_name,
    trusted_signing_aliases,
)
from sashiko.bias.gates.label_change import CHAMPION_LABELS
from sashiko.pipeline.definition.definition_records import PARAMETER
from sashiko.pipeline.sdk.jobs import Jobs, Uri
from sashiko.steps.base_model import check_licence

__all__ = ["Registration"]


@dataclass(frozen=True)
class Registration:
    """Creates the steps that call the registry; none of them reads a row."""

    jobs: Jobs
    registry: Uri  # which kind of registry
    tracking_uri: Uri  # of MLflow
    run_manifest: Uri  # S3 URI of the run manifest

    def champion(self) -> ProcessingStep:
        """ResolveChampion: the version in use, for the comparisons in Evaluate and JudgeBias."""
        group, settings = ["--model-package-group", self._group()], self.jobs.settings
        labels = self.jobs.recipe.bias.compares_labels
        keys = ["--labels-signed-by", ",".join(trusted_signing_aliases(settings))]
        return self._step(
            "ResolveChampion",
            module="sashiko.steps.resolve_champion",
            role="registry-reader",
            arguments=["--registry", self.registry, *group, *(keys if labels else ())],
            outputs=("champion", *((CHAMPION_LABELS,) if labels else ())),
        )

    def track(self, evidence: Mapping[str, Uri]) -> ProcessingStep:
        """Track: logs metrics and verdicts, also of a blocked run.

        `evidence` has input name -> S3 URI.
        """
        return self._step(
            "Track",
            module="sashiko.steps.track",
            role="registrar",
            config=("waivers",),
            arguments=[
                "--registry", self.registry,
                *self._execution(),
                "--recipe", self.jobs.recipe.name,
                "--experiment", self.jobs.recipe.model_package_group,
                *self._not_judged(),
            ],
            inputs={"run-manifest": self.run_manifest, **evidence},
            outputs=("tracking", "verdicts"),
        )  # fmt: skip

    def register(
        self, evidence: Mapping[str, Uri], *, data_uri: Uri, monitoring: Mapping[str, Uri]
    ) -> ProcessingStep:
        """Register: creates a version of the model package group, with its evidence.

        Args:
            evidence: input name -> S3 URI.
            data_uri: S3 URI of the training snapshot.
            monitoring: what the version's captured requests will be compared with, name -> S3
                URI: `reference`, `test`, and where bias is judged `bias-rows`. They are recorded
                with the version and not read.

        Raises:
            InputError: if the environment does not allow the licence of the pre-trained model.
        """
        settings = self.jobs.settings
        check_licence(self.jobs.recipe.model, licences=settings.licences)  # before the training
        every = (*self.jobs.images.of_jobs(), self.jobs.images.serving)
        images = dict.fromkeys(image.uri for image in every)
        return self._step(
            "Register",
            module="sashiko.steps.register",
            role="registrar",
            config=("contract", "card", "train", "reweighing", "model", "waivers"),
            arguments=[
                "--registry", self.registry,
                "--licences", ",".join(settings.licences),
                "--model-package-group", self._group(),
                *self._execution(),
                "--recipe", self.jobs.recipe.name,
                "--experiment", self.jobs.recipe.model_package_group,
                "--data-uri", data_uri,
                "--models-uri", f"s3://{bucket_name(settings, 'artifacts')}/{MODELS}",
                "--serving-image", self.jobs.images.serving.uri,
                "--signing-key", key_alias(settings, "signing"),
                "--definition-sha256", ParameterString(PARAMETER),
                *[word for uri in images for word in ("--image", uri)],
                *[word for name, uri in monitoring.items() for word in (f"--{name}-uri", uri)],
                *self._not_judged(),
            ],
            inputs={"run-manifest": self.run_manifest, **evidence},
            outputs=("registration",),
        )  # fmt: skip

    def _group(self) -> str:
        return model_package_group_name(self.jobs.settings, self.jobs.recipe.model_package_group)

    def _execution(self) -> Sequence[Uri]:
        return (
            *("--execution-id", ExecutionVariables.PIPELINE_EXECUTION_ID),
            *("--execution-arn", ExecutionVariables.PIPELINE_EXECUTION_ARN),
        )

    def _not_judged(self) -> Sequence[str]:
        bias = self.jobs.recipe.bias
        return () if bias.judged else (f"--bias-not-judged={' '.join(bias.reason.split())}",)

    def _step(
        self,
        name: str,
        *,
        role: str,
        module: str,
        arguments: Sequence[Uri],
        outputs: tuple[str, ...],
        config: Sequence[str] = (),
        inputs: Mapping[str, Uri] = MappingProxyType({}),
    ) -> ProcessingStep:
        return self.jobs.processing(
            name,
            role=role,
            module=module,
            config=config,
            arguments=arguments,
            # The steps call AWS; SageMaker does not document the region in a Processing
            # environment.
            environment={
                "AWS_REGION": self.jobs.settings.region,
                "MLFLOW_TRACKING_URI": self.tracking_uri,
            },
            inputs=inputs,
            outputs=outputs,
            isolated=False,
            cached=False,
        )
