"""Lake Formation: moto's has no filters, takes any principal and column, and loses tags.

It makes the checks that the real service makes when it stores something. It enforces nothing on
reading: Athena and Glue do that, and nothing executes here.
"""

from collections.abc import Callable
from typing import Any

from ..json_api import Handler, ServiceError
from .filters import Filters
from .grants import Grants
from .lookups import Lookups, Record, filter_key, get_item, named
from .opt_ins import OptIns
from .tags import Tags

EVERYBODY = "IAM_ALLOWED_PRINCIPALS"
_EVERYONE = {
    "Principal": {"DataLakePrincipalIdentifier": EVERYBODY},
    "Permissions": ["ALL"],
}


class LakeFormation:
    """The Lake Formation of one account in one region."""

    def __init__(self, account: str, aws: Callable[[str], Any]) -> None:
        """Starts with a new account's settings; `aws` makes a client of a service."""
        self._lookups = Lookups(account, aws)
        self._settings: Record = {
            "DataLakeAdmins": [],
            "CreateDatabaseDefaultPermissions": [_EVERYONE],
            "CreateTableDefaultPermissions": [_EVERYONE],
        }
        self._locations: dict[str, Record] = {}
        self._tags = Tags(self._lookups, self._check_resource)
        self._filters = Filters(self._lookups)
        self._grants = Grants(self._lookups, self._check_resource)
        self.add_grant = self._grants.add_grant
        self.operations: dict[str, Handler] = {
            "GetDataLakeSettings": lambda _: {"DataLakeSettings": self._settings},
            "PutDataLakeSettings": self._put_settings,
            "RegisterResource": self._register,
            "UpdateResource": self._update_location,
            "DeregisterResource": self._deregister,
            "DescribeResource": lambda request: {
                "ResourceInfo": get_item(self._locations, request["ResourceArn"])
            },
            "ListResources": lambda _: {"ResourceInfoList": list(self._locations.values())},
            **self._tags.operations,
            **self._filters.operations,
            **self._grants.operations,
            **OptIns().operations,
        }

    def _put_settings(self, request: Record) -> None:
        settings = request["DataLakeSettings"]
        for admin in settings.get("DataLakeAdmins", []):
            self._lookups.check_principal(admin)
        self._settings = settings

    def _register(self, request: Record) -> None:
        arn = request["ResourceArn"]
        if arn in self._locations:
            raise ServiceError("AlreadyExistsException", f"Resource {arn} is already registered")
        if "RoleArn" in request:
            self._lookups.check_principal({"DataLakePrincipalIdentifier": request["RoleArn"]})
        members = ("ResourceArn", "RoleArn", "WithFederation", "HybridAccessEnabled")
        self._locations[arn] = {key: request[key] for key in members if key in request}

    def _update_location(self, request: Record) -> None:
        get_item(self._locations, request["ResourceArn"]).update(request)

    def _deregister(self, request: Record) -> None:
        get_item(self._locations, request["ResourceArn"])
        del self._locations[request["ResourceArn"]]

    def _check_location(self, arn: str) -> None:
        parts = arn.split("/")
        prefixes = ("/".join(parts[:count]) for count in range(1, len(parts) + 1))
        if not any(place in self._locations for place in prefixes):
            raise ServiceError("EntityNotFoundException", f"Resource {arn} is not registered")

    def _check_resource(self, resource: Record) -> None:
        ((kind, item),) = resource.items()
        if kind == "Database":
            self._lookups.find("get_database", Name=item["Name"])
        elif kind == "Table":
            if "Name" in item:
                self._lookups.find(
                    "get_table", DatabaseName=item["DatabaseName"], Name=item["Name"]
                )
            else:
                self._lookups.find("get_database", Name=item["DatabaseName"])
        elif kind == "TableWithColumns":
            self._lookups.check_columns(
                item["DatabaseName"], item["Name"], item.get("ColumnNames", [])
            )
        elif kind == "DataLocation":
            self._check_location(item["ResourceArn"])
        elif kind == "DataCellsFilter":
            self._filters.check(filter_key(item))
        elif kind == "LFTag":
            self._tags.check_values(item["TagKey"], [v for v in item["TagValues"] if v != "*"])
        elif kind == "LFTagPolicy":
            for tag in item.get("Expression", []):
                self._tags.check_values(tag["TagKey"], tag["TagValues"])

    # Called by Glue

    def check_visible(self, role: str, resource: Record) -> None:
        """Raises ServiceError if a role, an ARN, sees nothing of a database or table.

        As in "Troubleshooting Lake Formation" of AWS's guide; grants by tags are not considered.
        """
        self._check_resource(resource)
        admins = [a["DataLakePrincipalIdentifier"] for a in self._settings["DataLakeAdmins"]]
        if role not in admins and not self._grants.has_grant(resource, (role, EVERYBODY)):
            raise ServiceError(
                "AccessDeniedException",
                "Insufficient Lake Formation permission(s): Required Describe on "
                f"{named(resource)[-1]}",
            )

    def default_permissions(self, kind: str) -> list[Record]:
        """Returns the settings' default permissions for a new `Database` or `Table`."""
        return list(self._settings.get(f"Create{kind}DefaultPermissions", []))

    def forget(self, database: str, table: str | None = None) -> None:
        """Drops tags, filters and grants of a database or table that Glue has deleted."""
        path = (database,) if table is None else (database, table)
        for part in (self._tags, self._filters, self._grants):
            part.forget(path)
