"""The CDK's usage metadata in each stack, which has no resource."""

from ..engine.resources import Place, Properties, ResourceType


class Metadata(ResourceType):
    name = "AWS::CDK::Metadata"

    def create(self, place: Place, desired: Properties) -> str:
        return place.generated_name(64)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        """Does nothing: there is no resource."""

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        """Does nothing: there is no resource."""

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        return desired


TYPES = (Metadata,)
