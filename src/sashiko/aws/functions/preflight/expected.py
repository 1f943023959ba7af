"""The properties that a version needs to be served by an environment, from its templates."""

from dataclasses import dataclass

from sashiko.aws.functions.function_input import Properties


@dataclass(frozen=True, kw_only=True)
class Expected(Properties):
    """The expected properties of a version; all strings, as a custom resource's properties are.

    Attributes:
        model_package_arn: the version.
        model_package_group: the environment's own group.
        models_uri: S3 URI that the groups' signed files lie under.
        signing_key: alias of the KMS key that signs manifests.
        image: URI of the image that the endpoint runs in.
        target: what the endpoint runs: cpu, gpu or inf2.
        instance_type: the endpoint's.
        min_instances: of the endpoint; from 2 on an update of it sends a canary ahead.
        cores: its NeuronCores; 0 where it has none.
        workers: processes in a container, each with cores of its own.
        gates: that must have judged and passed, with a comma between two.
        allow_waived: `true` if a failed check may be served while its waiver holds, else `false`.
        bounds: the environment's own, as `sashiko.aws.functions.preflight.bounds` writes them.
    """

    model_package_arn: str
    model_package_group: str
    models_uri: str
    signing_key: str
    image: str
    target: str
    instance_type: str
    min_instances: str
    cores: str
    workers: str
    gates: str
    allow_waived: str
    bounds: str

    @property
    def endpoint(self) -> str:
        """The endpoint's name: the group's, since it outlives each version."""
        return self.model_package_group
