"""LF-Tags and their assignments."""

from collections.abc import Callable

from ..json_api import Handler, ServiceError
from .lookups import Lookups, Record, get_item, named


class Tags:
    """The LF-Tags of an account, and their values on databases, tables and columns."""

    def __init__(self, lookups: Lookups, check_resource: Callable[[Record], None]) -> None:
        """Starts without a tag; `check_resource` refuses a resource that does not exist."""
        self._lookups = lookups
        self._check_resource = check_resource
        self._tags: dict[str, list[str]] = {}
        self._assigned: dict[tuple[str, ...], dict[str, str]] = {}
        self.operations: dict[str, Handler] = {
            "CreateLFTag": self._create_tag,
            "UpdateLFTag": self._update_tag,
            "DeleteLFTag": self._delete_tag,
            "GetLFTag": lambda request: self._tag(request["TagKey"]),
            "ListLFTags": lambda _: {"LFTags": [self._tag(key) for key in self._tags]},
            "AddLFTagsToResource": self._assign,
            "RemoveLFTagsFromResource": self._unassign,
            "GetResourceLFTags": self._assigned_tags,
        }

    def _tag(self, key: str) -> Record:
        values = get_item(self._tags, key)
        return {"CatalogId": self._lookups.account, "TagKey": key, "TagValues": values}

    def _create_tag(self, request: Record) -> None:
        if request["TagKey"] in self._tags:
            raise ServiceError("AlreadyExistsException", f"Tag {request['TagKey']} already exists")
        self._tags[request["TagKey"]] = list(request["TagValues"])

    def _update_tag(self, request: Record) -> None:
        key, removed = request["TagKey"], set(request.get("TagValuesToDelete") or ())
        values = get_item(self._tags, key)
        used = {tags[key] for tags in self._assigned.values() if key in tags}
        if in_use := removed & used:
            raise ServiceError("InvalidInputException", f"Tag value {min(in_use)} is in use")
        added = [item for item in request.get("TagValuesToAdd") or () if item not in values]
        self._tags[key] = [*(item for item in values if item not in removed), *added]

    def _delete_tag(self, request: Record) -> None:
        get_item(self._tags, request["TagKey"])
        del self._tags[request["TagKey"]]
        for tags in self._assigned.values():
            tags.pop(request["TagKey"], None)

    def check_values(self, key: str, values: list[str]) -> None:
        """Raises ServiceError if a tag lacks one of the values, or does not exist."""
        if unknown := set(values) - set(self._tags.get(key, ())):
            raise ServiceError(
                "EntityNotFoundException",
                f"Tag or tag value does not exist: {key}={min(unknown)}",
            )

    def _assign(self, request: Record) -> Record:
        self._check_resource(request["Resource"])
        keys = [tag["TagKey"] for tag in request["LFTags"]]
        if len({*keys}) < len(keys) or any(len(t["TagValues"]) > 1 for t in request["LFTags"]):
            raise ServiceError(
                "InvalidInputException", "A resource can have one value of an LF-Tag's key only"
            )
        for tag in request["LFTags"]:
            self.check_values(tag["TagKey"], tag["TagValues"])
            for key in _tag_targets(request["Resource"]):
                self._assigned.setdefault(key, {})[tag["TagKey"]] = tag["TagValues"][0]
        return {"Failures": []}

    def _unassign(self, request: Record) -> Record:
        for tag in request["LFTags"]:
            for key in _tag_targets(request["Resource"]):
                self._assigned.get(key, {}).pop(tag["TagKey"], None)
        return {"Failures": []}

    def _assigned_tags(self, request: Record) -> Record:
        """A database's tags reach its tables and columns that have no value of their own."""
        self._check_resource(request["Resource"])
        database, *rest = _tag_targets(request["Resource"])[0]
        direct_only = bool(request.get("ShowAssignedLFTags"))
        on_database = self._assigned.get((database,), {})
        answer: Record = {"LFTagOnDatabase": self._pairs(on_database)}
        if rest:
            inherited = {} if direct_only else on_database
            on_table = {**inherited, **self._assigned.get((database, rest[0]), {})}
            answer["LFTagsOnTable"] = self._pairs(on_table)
            inherited = {} if direct_only else on_table
            answer["LFTagsOnColumns"] = [
                {
                    "Name": key[2],
                    "LFTags": self._pairs({**inherited, **self._assigned.get(key, {})}),
                }
                for key in _tag_targets(request["Resource"])
                if len(key) == 3
            ]
        return answer

    def _pairs(self, tags: dict[str, str]) -> list[Record]:
        return [
            {"CatalogId": self._lookups.account, "TagKey": key, "TagValues": [value]}
            for key, value in tags.items()
        ]

    def forget(self, path: tuple[str, ...]) -> None:
        """Drops the tags of what Glue has deleted."""
        remaining = {key: tags for key, tags in self._assigned.items() if key[: len(path)] != path}
        self._assigned = remaining


def _tag_targets(resource: Record) -> list[tuple[str, ...]]:
    name = named(resource)
    columns = resource.get("TableWithColumns", {}).get("ColumnNames")
    return [(*name, column) for column in columns] if columns else [name]
