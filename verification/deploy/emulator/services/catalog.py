"""Interactions of Glue and Lake Formation, which moto does not connect.

A new database or table gets the default permissions, `IAM_ALLOWED_PRINCIPALS` unless somebody has
emptied them; a deleted one loses its tags, filters and grants.
"""

from collections.abc import Callable
from typing import Any

from moto.glue.models import GlueBackend

from .lake_formation import LakeFormation


def install(lake_formation: Callable[[str], LakeFormation]) -> None:
    """Wraps Glue's back end; `lake_formation` gives a region's."""

    def grant(backend: GlueBackend, resource: dict[str, Any], defaults: list[Any]) -> None:
        for item in defaults:
            lake_formation(backend.region_name).add_grant({**item, "Resource": resource})

    create_database, create_table = GlueBackend.create_database, GlueBackend.create_table
    delete_database, delete_table = GlueBackend.delete_database, GlueBackend.delete_table

    def with_database(
        backend: GlueBackend, database_name: str, database_input: Any, *rest: Any, **named: Any
    ) -> Any:
        database = create_database(backend, database_name, database_input, *rest, **named)
        settings = lake_formation(backend.region_name)
        database_input.setdefault(
            "CreateTableDefaultPermissions", settings.default_permissions("Table")
        )
        defaults = settings.default_permissions("Database")
        grant(backend, {"Database": {"Name": database_name}}, defaults)
        return database

    def with_table(
        backend: GlueBackend, database_name: str, table_name: str, *rest: Any, **named: Any
    ) -> Any:
        table = create_table(backend, database_name, table_name, *rest, **named)
        database = backend.get_database(database_name)
        resource = {"Table": {"DatabaseName": database_name, "Name": table_name}}
        grant(backend, resource, database.input.get("CreateTableDefaultPermissions", []))
        return table

    def without_database(backend: GlueBackend, database_name: str) -> None:
        delete_database(backend, database_name)
        lake_formation(backend.region_name).forget(database_name)

    def without_table(backend: GlueBackend, database_name: str, table_name: str) -> None:
        delete_table(backend, database_name, table_name)
        lake_formation(backend.region_name).forget(database_name, table_name)

    GlueBackend.create_database = with_database
    GlueBackend.create_table = with_table
    GlueBackend.delete_database = without_database
    GlueBackend.delete_table = without_table
