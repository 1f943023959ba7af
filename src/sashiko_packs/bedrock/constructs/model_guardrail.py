"""The guardrail that imported models are invoked through, with a numbered version."""

from typing import Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_bedrock as bedrock
from constructs import Construct

from sashiko.account.names import guardrail_name
from sashiko.base.files import canonical_json, sha256_bytes
from sashiko.settings.environment import Settings

__all__ = ["ModelGuardrail"]

_Guardrail = bedrock.CfnGuardrail
# Of the output, in which personal data are masked; a classifier writes its answer alone. In the
# input they are detected and stay: a masked text is another one than the model was judged on.
_PERSONAL: Final = (
    "ADDRESS",
    "CREDIT_DEBIT_CARD_NUMBER",
    "EMAIL",
    "INTERNATIONAL_BANK_ACCOUNT_NUMBER",
    "NAME",
    "PHONE",
    "US_SOCIAL_SECURITY_NUMBER",
)
_STRENGTH: Final = "HIGH"  # of the filter of prompt attacks
_BLOCKED_INPUT: Final = "The guardrail has blocked this text; a person has to read it."
_BLOCKED_OUTPUT: Final = "The guardrail has blocked the answer; a person has to read the text."


class ModelGuardrail(Construct):
    """A guardrail, and a version of it that does not change.

    Attributes:
        arn: of the guardrail.
        guardrail_id: what a request names.
        version: the number beside it.
    """

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, removal_policy: RemovalPolicy
    ) -> None:
        """Makes both; a change of the rules makes another version, and a kept one stays."""
        super().__init__(scope, id)
        guardrail = _Guardrail(
            self,
            "Guardrail",
            name=guardrail_name(settings),
            description="Prompt attacks in the text, personal data in the answer",
            blocked_input_messaging=_BLOCKED_INPUT,
            blocked_outputs_messaging=_BLOCKED_OUTPUT,
            content_policy_config=_Guardrail.ContentPolicyConfigProperty(
                filters_config=[
                    # An attack is in a prompt: the API takes NONE alone for the output.
                    _Guardrail.ContentFilterConfigProperty(
                        type="PROMPT_ATTACK", input_strength=_STRENGTH, output_strength="NONE"
                    )
                ]
            ),
            sensitive_information_policy_config=(
                _Guardrail.SensitiveInformationPolicyConfigProperty(
                    pii_entities_config=[
                        _Guardrail.PiiEntityConfigProperty(
                            type=kind,
                            action="ANONYMIZE",
                            input_action="NONE",
                            output_action="ANONYMIZE",
                        )
                        for kind in _PERSONAL
                    ]
                )
            ),
        )
        # CloudFormation makes a version once: its id changes with what it is a version of.
        rules = canonical_json([_PERSONAL, _STRENGTH, _BLOCKED_INPUT, _BLOCKED_OUTPUT])
        version = bedrock.CfnGuardrailVersion(
            self,
            f"Version{sha256_bytes(rules)[:8]}",
            guardrail_identifier=guardrail.attr_guardrail_id,
        )
        version.apply_removal_policy(removal_policy)
        self.arn: str = guardrail.attr_guardrail_arn
        self.guardrail_id: str = guardrail.attr_guardrail_id
        self.version: str = version.attr_version
