"""What approved causal LMs need on Amazon Bedrock: a guardrail, a key, roles' rights, profiles."""

from aws_cdk import App, CfnOutput
from constructs import Construct

from sashiko_cdk.deployment import Deployment
from sashiko_cdk.lake.domain_key import DomainKey
from sashiko_cdk.stack import EnvironmentStack
from sashiko_packs.bedrock.constructs.model_access import ModelAccess
from sashiko_packs.bedrock.constructs.model_guardrail import ModelGuardrail
from sashiko_packs.bedrock.constructs.model_profiles import ModelProfiles
from sashiko_packs.bedrock.settings import BedrockSection


class Bedrock(EnvironmentStack):
    """The imported models themselves are `sashiko model import`'s: CloudFormation has none."""

    def __init__(self, scope: Construct, deployment: Deployment, *, artifacts_key_arn: str) -> None:
        """Makes what an import and an invocation need."""
        super().__init__(
            scope,
            "Bedrock",
            deployment,
            stateful=True,
            description="Guardrail, key, inference profiles and permissions on Amazon Bedrock",
        )
        settings = self.settings
        key = DomainKey(
            self, "Key", settings=settings, domain="bedrock", removal_policy=self.removal_policy
        )
        guardrail = ModelGuardrail(
            self, "Rules", settings=settings, removal_policy=self.removal_policy
        )
        profiles = ModelProfiles(self, "Profiles", settings=settings)
        ModelAccess(
            self,
            "Access",
            settings=settings,
            artifacts_key_arn=artifacts_key_arn,
            models_key_arn=key.key_arn,
            guardrail_arn=guardrail.arn,
            profile_arns=profiles.arns,
        )
        # What a request to an imported model names.
        CfnOutput(self, "GuardrailId", value=guardrail.guardrail_id)
        CfnOutput(self, "GuardrailVersion", value=guardrail.version)


def bedrock_stacks(app: App, deployment: Deployment, *, artifacts_key_arn: str) -> list[Bedrock]:
    """Adds the stack where the environment's settings turn Bedrock on."""
    if not deployment.settings.section(BedrockSection).enabled:
        return []
    return [Bedrock(app, deployment, artifacts_key_arn=artifacts_key_arn)]
