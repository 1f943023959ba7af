"""What EC2's types have in common."""

from typing import Any, ClassVar

from ..engine.errors import AbsentError
from ..engine.resources import Place, Properties, ResourceType, changed_tags


def retag(at: Place, physical_id: str, old: Properties, new: Properties) -> None:
    """Changes a resource's tags."""
    gone, tags = changed_tags(old, new)
    if gone:
        at.aws("ec2").delete_tags(Resources=[physical_id], Tags=[{"Key": key} for key in gone])
    if tags:
        at.aws("ec2").create_tags(Resources=[physical_id], Tags=tags)


class Described(ResourceType):
    """A resource that one call makes, one describes by id, and one deletes.

    Attributes:
        create_call, describe_call, delete_call: the client's methods.
        tagged: what `TagSpecifications` calls it.
        answer: the member of the creation's answer that holds it; None: the answer itself.
        id_key: the member that holds its id.
        found: the path of the ids in the description.
        ids, one: the arguments for several ids and for one.
    """

    create_call: ClassVar[str]
    describe_call: ClassVar[str]
    delete_call: ClassVar[str]
    tagged: ClassVar[str]
    answer: ClassVar[str | None]
    id_key: ClassVar[str]
    found: ClassVar[str]
    ids: ClassVar[str]
    one: ClassVar[str]
    updated = frozenset({"Tags"})

    def arguments(self, wanted: Properties) -> Properties:
        return {key: item for key, item in wanted.items() if key != "Tags"}

    def create(self, at: Place, wanted: Properties) -> str:
        given = self.arguments(wanted)
        if tags := wanted.get("Tags"):
            given["TagSpecifications"] = [{"ResourceType": self.tagged, "Tags": tags}]
        answer = getattr(at.aws("ec2"), self.create_call)(**given)
        made = str((answer[self.answer] if self.answer else answer)[self.id_key])
        at.made.append(made)
        return made

    def update(self, at: Place, physical_id: str, old: Properties, new: Properties) -> None:
        retag(at, physical_id, old, new)

    def delete(self, at: Place, physical_id: str, had: Properties) -> None:
        getattr(at.aws("ec2"), self.delete_call)(**{self.one: physical_id})

    def read(self, at: Place, physical_id: str, wanted: Properties) -> Properties:
        return dict(self.described(at, physical_id))

    def described(self, at: Place, physical_id: str) -> Any:
        """Returns what EC2 says of it, whose names are the templates' but where a type differs.

        Raises:
            AbsentError: if it is not there.
        """
        answer = getattr(at.aws("ec2"), self.describe_call)(**{self.ids: [physical_id]})
        if not answer[self.found]:
            raise AbsentError(f"no {self.tagged} {physical_id}")
        return answer[self.found][0]
