"""The common part of EC2's types."""

from typing import Any, ClassVar

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType, changed_tags


def retag(place: Place, physical_id: str, old: Properties, new: Properties) -> None:
    """Changes a resource's tags."""
    removed_keys, tags = changed_tags(old, new)
    if removed_keys:
        place.aws("ec2").delete_tags(
            Resources=[physical_id], Tags=[{"Key": key} for key in removed_keys]
        )
    if tags:
        place.aws("ec2").create_tags(Resources=[physical_id], Tags=tags)


class Described(ResourceType):
    """A resource that one call makes, one describes by id, and one deletes.

    Attributes:
        create_call, describe_call, delete_call: the client's methods.
        tag_type: its `ResourceType` in `TagSpecifications`.
        result_key: the member of the create response that holds it; None: the response itself.
        id_key: the member that holds its id.
        list_key: the member of the describe response that lists the resources.
        ids_argument, id_argument: the arguments for several ids and for one.
    """

    create_call: ClassVar[str]
    describe_call: ClassVar[str]
    delete_call: ClassVar[str]
    tag_type: ClassVar[str]
    result_key: ClassVar[str | None]
    id_key: ClassVar[str]
    list_key: ClassVar[str]
    ids_argument: ClassVar[str]
    id_argument: ClassVar[str]
    updated = frozenset({"Tags"})

    def arguments(self, desired: Properties) -> Properties:
        return {key: item for key, item in desired.items() if key != "Tags"}

    def create(self, place: Place, desired: Properties) -> str:
        arguments = self.arguments(desired)
        if tags := desired.get("Tags"):
            arguments["TagSpecifications"] = [{"ResourceType": self.tag_type, "Tags": tags}]
        response = getattr(place.aws("ec2"), self.create_call)(**arguments)
        physical_id = str((response[self.result_key] if self.result_key else response)[self.id_key])
        place.created_ids.append(physical_id)
        return physical_id

    def update(self, place: Place, physical_id: str, old: Properties, new: Properties) -> None:
        retag(place, physical_id, old, new)

    def delete(self, place: Place, physical_id: str, properties: Properties) -> None:
        getattr(place.aws("ec2"), self.delete_call)(**{self.id_argument: physical_id})

    def read(self, place: Place, physical_id: str, desired: Properties) -> Properties:
        return dict(self.described(place, physical_id))

    def described(self, place: Place, physical_id: str) -> Any:
        """Returns EC2's description, in the template's names except where a type differs.

        Raises:
            AbsentError: if it does not exist.
        """
        response = getattr(place.aws("ec2"), self.describe_call)(
            **{self.ids_argument: [physical_id]}
        )
        if not response[self.list_key]:
            raise AbsentError(f"no {self.tag_type} {physical_id}")
        return response[self.list_key][0]
