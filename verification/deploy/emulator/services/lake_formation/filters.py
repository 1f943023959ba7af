"""Data-cells filters, which moto lacks."""

import re

from ..json_api import Handler, ServiceError
from .lookups import Lookups, Record, filter_key, get_item

_TEXT = re.compile(r"'(?:[^']|'')*'")
_NAME = re.compile(r'"([^"]+)"|\b([A-Za-z_]\w*)\b(?!\s*\()')
_WORDS = {
    "AND", "AS", "BETWEEN", "DATE", "ESCAPE", "FALSE", "IN", "IS", "LIKE", "NOT", "NULL", "OR",
    "TIMESTAMP", "TRUE",
}  # fmt: skip


class Filters:
    """The filters of an account."""

    def __init__(self, lookups: Lookups) -> None:
        """Starts without a filter."""
        self._lookups = lookups
        self._filters: dict[tuple[str, ...], Record] = {}
        self.operations: dict[str, Handler] = {
            "CreateDataCellsFilter": self._create_filter,
            "UpdateDataCellsFilter": self._update_filter,
            "DeleteDataCellsFilter": self._delete_filter,
            "GetDataCellsFilter": lambda request: {
                "DataCellsFilter": get_item(self._filters, filter_key(request))
            },
            "ListDataCellsFilter": self._list_filters,
        }

    def _create_filter(self, request: Record) -> None:
        data = request["TableData"]
        if filter_key(data) in self._filters:
            raise ServiceError("AlreadyExistsException", f"Filter {data['Name']} already exists")
        self._check_filter(data)
        self._filters[filter_key(data)] = data

    def _update_filter(self, request: Record) -> None:
        data = request["TableData"]
        get_item(self._filters, filter_key(data))
        self._check_filter(data)
        self._filters[filter_key(data)] = data

    def _delete_filter(self, request: Record) -> None:
        get_item(self._filters, filter_key(request))
        del self._filters[filter_key(request)]

    def _list_filters(self, request: Record) -> Record:
        table = request.get("Table") or {}
        table_key = (table.get("DatabaseName"), table.get("Name"))
        return {
            "DataCellsFilters": [
                item
                for (database, name, _), item in self._filters.items()
                if table_key in ((None, None), (database, name))
            ]
        }

    def _check_filter(self, data: Record) -> None:
        names, wildcard = data.get("ColumnNames"), data.get("ColumnWildcard")
        if bool(names) == (wildcard is not None):
            raise ServiceError(
                "InvalidInputException", "Give either ColumnNames or ColumnWildcard of a filter"
            )
        expression = data.get("RowFilter", {}).get("FilterExpression", "")
        for columns in (
            names or (wildcard or {}).get("ExcludedColumnNames", []),
            columns_of(expression),
        ):
            self._lookups.check_columns(data["DatabaseName"], data["TableName"], columns)

    def check(self, key: tuple[str, ...]) -> None:
        """Raises ServiceError if there is no such filter."""
        get_item(self._filters, key)

    def forget(self, path: tuple[str, ...]) -> None:
        """Drops the filters of what Glue has deleted."""
        keep = {key: item for key, item in self._filters.items() if key[: len(path)] != path}
        self._filters = keep


def columns_of(expression: str) -> list[str]:
    """Names a row filter's columns: what is neither text nor number, keyword nor function."""
    bare = _TEXT.sub("", expression)
    names = [quoted or plain for quoted, plain in _NAME.findall(bare)]
    return [name for name in names if name.upper() not in _WORDS]
