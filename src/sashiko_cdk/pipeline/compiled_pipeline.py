"""A SageMaker pipeline whose body is the definition that `sashiko run` interprets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aws_cdk import Fn, Tags
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from sashiko.account import deploy_time
from sashiko.account.names import KeyDomain, pipeline_name
from sashiko.errors import InputError
from sashiko.packs import load_packs
from sashiko.pipeline.project import FINETUNE
from sashiko.settings.environment import Settings
from sashiko_cdk.network.job_network import JobNetwork, acknowledge_network

__all__ = ["CompiledPipeline", "deploy_values"]

# A template is limited to 1 MB, and nobody can review change sets and diffs of a larger body.
LARGEST_BODY: Final = 200_000


def deploy_values(
    settings: Settings,
    *,
    network: JobNetwork,
    key_arns: Mapping[KeyDomain, str],
    tracking_arn: str,
) -> Mapping[str, str]:
    """Returns stand-in in a definition -> its value at deploy time.

    Args:
        settings: the environment.
        network: where jobs run.
        key_arns: domain -> ARN of the KMS key that jobs encrypt with.
        tracking_arn: of the MLflow App.
    """
    subnets = zip(deploy_time.subnet_ids(settings), network.subnet_ids, strict=True)
    groups = zip(deploy_time.security_group_ids(settings), network.group_ids, strict=True)
    nodes = network.nodes_group_id
    return {
        **dict(subnets),
        **dict(groups),
        **({deploy_time.nodes_group_id(): nodes} if nodes else {}),
        **{deploy_time.key_arn(domain): arn for domain, arn in key_arns.items()},
        deploy_time.tracking_uri(): tracking_arn,
    }


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """One of a recipe's pipelines as the SageMaker SDK has compiled it."""

    recipe: str  # the recipe's name
    module: str  # of `pipelines/`
    # The definition's JSON value, with stand-ins for values known at deploy time.
    definition: Mapping[str, Any]
    commit: str  # what it was compiled from, for the tag

    @property
    def id(self) -> str:
        """Returns the id of its construct, unique in a stack."""
        return self.recipe if self.module == FINETUNE else f"{self.recipe}-{self.module}"

    def description_in(self, settings: Settings) -> str:
        """Says what it does."""
        packs = load_packs(settings.packs, source="settings")
        for one in (one for pack in packs for one in pack.pipelines):
            if one.module == self.module:
                return one.description.format(recipe=self.recipe)
        return f"Fine-tunes and registers {self.recipe}; every gate blocks"


class CompiledPipeline(Construct):
    """The pipeline, inline in the template, so that a change shows in `cdk diff`."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        settings: Settings,
        compiled: Compiled,
        values: Mapping[str, str],
    ) -> None:
        """Makes the pipeline.

        `values` has stand-in -> reference to what it stands for.

        Raises:
            InputError: if a stand-in has no value, or the body is too large.
        """
        super().__init__(scope, id)
        body = json.dumps(compiled.definition, separators=(",", ":"))
        size = len(body.encode())
        subject = f"pipelines/{compiled.module}.py, recipe {compiled.recipe}: the definition"
        if size > LARGEST_BODY:
            raise InputError(
                f"{subject} has {size:,} bytes, more than {LARGEST_BODY:,}: shorten arguments and "
                "environments there, and move long values into a step's configuration file"
            )
        used = deploy_time.stand_ins(body)
        if missing := [stand_in for stand_in in used if stand_in not in values]:
            raise InputError(
                f"{subject} holds {', '.join(missing)}, for which "
                "`sashiko_cdk.pipeline.compiled_pipeline.deploy_values` has no value"
            )
        body = body.replace("${", "${!")  # CloudFormation's escape
        names = {stand_in: stand_in.replace("-", "") for stand_in in used}
        for stand_in, name in names.items():
            body = body.replace(f'"{stand_in}"', f'"${{{name}}}"')
        whole = Fn.sub(body, {name: values[stand_in] for stand_in, name in names.items()})
        module = "" if compiled.module == FINETUNE else compiled.module
        pipeline = sagemaker.CfnPipeline(
            self,
            "Pipeline",
            pipeline_name=pipeline_name(settings, compiled.recipe, module=module),
            pipeline_description=compiled.description_in(settings),
            pipeline_definition={"PipelineDefinitionBody": whole},
            role_arn=settings.role_arn("pipeline"),
        )
        Tags.of(pipeline).add("git-commit", compiled.commit)
        acknowledge_network(pipeline, settings)
