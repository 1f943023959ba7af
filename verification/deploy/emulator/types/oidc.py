"""IAM: OIDC providers, and what IAM asks of a role's trust in one."""

from typing import Any

from ..engine.errors import ResourceError
from ..engine.resources import Place, Properties, ResourceType, changed_tags

# "Identity-provider controls for shared OIDC providers" of the IAM User Guide: the claim that a
# trust policy must evaluate, by issuer.
_CONTROLS = {"token.actions.githubusercontent.com": "sub"}


class OIDCProvider(ResourceType):
    """IAM verifies the certificates of well-known issuers itself, so no thumbprint is passed on.

    moto has no call that changes the audiences, so no update of them.
    """

    name = "AWS::IAM::OIDCProvider"
    updated = frozenset({"Tags"})
    handled = updated | {"ClientIdList", "Url"}

    def create(self, place: Place, desired: Properties) -> str:
        arn = place.aws("iam").create_open_id_connect_provider(
            Url=desired["Url"],
            ClientIDList=desired.get("ClientIdList", []),
            Tags=desired.get("Tags", []),
        )["OpenIDConnectProviderArn"]
        return str(arn)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        iam, by_arn = place.aws("iam"), {"OpenIDConnectProviderArn": physical_id}
        removed_keys, tags = changed_tags(old, new)
        iam.untag_open_id_connect_provider(**by_arn, TagKeys=removed_keys)
        iam.tag_open_id_connect_provider(**by_arn, Tags=tags)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        place.aws("iam").delete_open_id_connect_provider(OpenIDConnectProviderArn=physical_id)

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        provider = place.aws("iam").get_open_id_connect_provider(
            OpenIDConnectProviderArn=physical_id
        )
        return {
            "Url": f"https://{provider['Url']}",
            "ClientIdList": provider["ClientIDList"],
            "Tags": provider.get("Tags", []),
        }

    def attributes(self, place: Place, physical_id: str, desired: Properties) -> dict[str, Any]:
        return {"Arn": physical_id}


def check_trust(place: Place, document: Properties) -> None:
    """Refuses a role's trust in an issuer that others share, unless it evaluates who calls.

    Whether IAM also refuses a provider that is not there is not documented; it is refused here.
    """
    for statement in document["Statement"]:
        principal = statement.get("Principal", {})
        provider = principal.get("Federated", "") if isinstance(principal, dict) else ""
        issuer = provider.partition(":oidc-provider/")[2]
        if not issuer:
            continue
        iam = place.aws("iam")
        known = iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]
        if provider not in [item["Arn"] for item in known]:
            raise ResourceError(f"there is no OIDC provider {provider}")
        keys = {key for pairs in statement.get("Condition", {}).values() for key in pairs}
        claim = _CONTROLS.get(issuer)
        if claim and f"{issuer}:{claim}" not in keys:
            raise ResourceError(
                f"the trust policy must evaluate {issuer}:{claim}, as the issuer has many tenants"
            )


TYPES = (OIDCProvider,)
