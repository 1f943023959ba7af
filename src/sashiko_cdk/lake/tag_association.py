"""One LF-Tag on one resource."""

from aws_cdk import aws_lakeformation as lf
from constructs import Construct

from sashiko.account.names import database_name, tag_key
from sashiko.contract.grants import TagAssignment
from sashiko.settings.environment import Settings
from sashiko_cdk.functions.content_id import content_id

_Association = lf.CfnTagAssociation


class TagAssociation(lf.CfnTagAssociation):
    """One key with one value on one database, table or column."""

    def __init__(
        self, scope: Construct, word: str, *, settings: Settings, tag: TagAssignment
    ) -> None:
        """Assigns `tag`; `word` is the readable part of the id."""
        pair = _Association.LFTagPairProperty(
            catalog_id=settings.account,
            tag_key=tag_key(settings, tag.kind),
            tag_values=[tag.value],
        )
        resource = _resource(settings, tag)
        super().__init__(
            scope,
            content_id(scope, word, resource, pair),
            resource=resource,
            lf_tags=[pair],
        )


def _resource(settings: Settings, tag: TagAssignment) -> lf.CfnTagAssociation.ResourceProperty:
    catalog, database = settings.account, database_name(settings)
    if tag.table is None:
        return _Association.ResourceProperty(
            database=_Association.DatabaseResourceProperty(catalog_id=catalog, name=database)
        )
    if tag.column is None:
        return _Association.ResourceProperty(
            table=_Association.TableResourceProperty(
                catalog_id=catalog, database_name=database, name=tag.table
            )
        )
    return _Association.ResourceProperty(
        table_with_columns=_Association.TableWithColumnsResourceProperty(
            catalog_id=catalog,
            database_name=database,
            name=tag.table,
            column_names=[tag.column],
        )
    )
