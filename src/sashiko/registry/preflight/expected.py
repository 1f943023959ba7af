"""The properties that a version needs to be served by an environment, from its templates."""

from dataclasses import dataclass

from sashiko.base.function_input import Properties


@dataclass(frozen=True, kw_only=True)
class Expected(Properties):
    """The expected properties of a version; all strings, as a custom resource's properties are."""

    model_package_arn: str  # the version
    model_package_group: str  # the environment's own group
    models_uri: str  # S3 URI that the groups' signed files lie under
    signing_keys: str  # aliases or ARNs of the KMS keys whose signatures count, a comma between
    image: str  # URI of the image that the endpoint runs in
    target: str  # the endpoint's compile target
    instance_type: str  # the endpoint's
    min_instances: str  # of the endpoint; from 2 on an update of it sends a canary ahead
    cores: str  # its accelerator cores; 0 if its target does not count them
    workers: str  # processes in a container, each with cores of its own
    gates: str  # that must have judged and passed, with a comma between two
    allow_waived: str  # `true` if a failed check may be served while its waiver holds, else `false`
    bounds: str  # the environment's own, as `sashiko.registry.preflight.bounds` writes them
    scans: str  # the rule for its images, as `sashiko.registry.preflight.scans` writes it

    @property
    def endpoint(self) -> str:
        """The endpoint's name: the group's, since it outlives each version."""
        return self.model_package_group
