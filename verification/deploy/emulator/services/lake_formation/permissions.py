"""The permissions that each kind of resource takes.

As in "Lake Formation permissions per resource type" of AWS's page
https://docs.aws.amazon.com/lake-formation/latest/dg/lf-permissions-reference.html, in the API's
words.
"""

from ..json_api import ServiceError
from .lookups import Record

_DATABASE = {"ALL", "ALTER", "CREATE_TABLE", "DESCRIBE", "DROP"}
_TABLE = {"ALL", "ALTER", "DELETE", "DESCRIBE", "DROP", "INSERT", "SELECT"}
_ALLOWED = {
    "Catalog": {"ALL", "ALTER", "CREATE_DATABASE", "CREATE_LF_TAG", "DESCRIBE", "DROP"},
    "Database": _DATABASE,
    "Table": _TABLE,
    "TableWithColumns": {"SELECT"},
    "DataCellsFilter": {"DESCRIBE", "DROP", "SELECT"},
    "DataLocation": {"DATA_LOCATION_ACCESS"},
    "LFTag": {"ALTER", "ASSOCIATE", "DESCRIBE", "DROP", "GRANT_WITH_LF_TAG_EXPRESSION"},
    "LFTagPolicy DATABASE": _DATABASE,
    "LFTagPolicy TABLE": _TABLE,
}


def check_permissions(resource: Record, permissions: list[str]) -> None:
    """Raises ServiceError if a permission means nothing on a resource of that kind."""
    ((kind, item),) = resource.items()
    if kind == "LFTagPolicy":
        kind = f"{kind} {item['ResourceType']}"
    if unknown := set(permissions) - _ALLOWED.get(kind, set()):
        raise ServiceError(
            "InvalidInputException", f"Permission {min(unknown)} is not valid on a {kind}"
        )
