"""What the CDK adds to each stack to count its users; nothing stands for it."""

from ..engine.resources import Place, Properties, ResourceType


class Metadata(ResourceType):
    name = "AWS::CDK::Metadata"

    def create(self, place: Place, desired: Properties) -> str:
        return place.generated_name(64)

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        """Nothing stands for it."""

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        """Nothing stands for it."""

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        return desired


TYPES = (Metadata,)
