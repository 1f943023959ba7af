"""What the CDK adds to each stack to count its users; nothing stands for it."""

from ..engine.resources import Place, Properties, ResourceType


class Metadata(ResourceType):
    name = "AWS::CDK::Metadata"

    def create(self, at: Place, wanted: Properties) -> str:
        return at.generated_name(64)

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        """Nothing stands for it."""

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        """Nothing stands for it."""

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        return wanted


TYPES = (Metadata,)
