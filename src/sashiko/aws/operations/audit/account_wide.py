"""Differences in account-wide resources: data-lake settings and LF-Tags."""

from collections.abc import Iterator

from sashiko.aws.operations.access.environment import Environment
from sashiko.aws.operations.access.governance import Governance, LakeSettings
from sashiko.aws.operations.access.settings_commands import (
    add_administrator,
    drop_administrators,
    put_defaults,
    put_member,
)
from sashiko.aws.operations.audit.difference import Difference, listed
from sashiko.aws.resources.names import exec_role_arn

# Other teams add values here, and the templates only append. Any other enabled setting, such as
# access by engines outside of AWS, opens the lake.
_SHARED = {"Parameters", "ReadOnlyAdmins", "TrustedResourceOwners"}


def account_wide(environment: Environment, live: Governance) -> Iterator[Difference]:
    """Yields the differences from the templates, or from what the environment needs."""
    if environment.settings.lake_formation.mode == "enforced" and live.settings:
        # If another stack owns the account's settings, the lake needs at least these.
        needed = LakeSettings(admins=frozenset({exec_role_arn(environment.settings)}))
        expected = environment.governance.settings or needed
        yield from _administrators(environment, expected, live.settings)
        yield from _defaults(expected, live.settings)
        yield from _other_members(environment, expected, live.settings)
    yield from _tags(environment.governance, live)


def _administrators(
    environment: Environment, expected: LakeSettings, live: LakeSettings
) -> Iterator[Difference]:
    """Yields each administrator that no template names: it may grant itself anything."""
    own_roles = {role.arn for role in environment.principals}
    for admin in sorted(expected.admins ^ live.admins):
        resource = f"data-lake administrator {admin}"
        if admin in live.admins:
            yield Difference(
                kind="extra" if admin in own_roles else "note",
                resource=resource,
                detail="may grant itself anything; no template names it",
                fix=drop_administrators([admin]),
            )
        else:
            fix = add_administrator(admin)
            yield Difference(kind="missing", resource=resource, detail="", fix=fix)


def _defaults(expected: LakeSettings, live: LakeSettings) -> Iterator[Difference]:
    for kind, expected_principals, live_principals in (
        ("Database", expected.database_defaults, live.database_defaults),
        ("Table", expected.table_defaults, live.table_defaults),
    ):
        if expected_principals != live_principals:
            yield Difference(
                kind="differs",
                resource=f"default permissions of a new {kind.lower()}",
                detail=f"expected {listed(expected_principals)}, found {listed(live_principals)}",
                fix=put_defaults(kind, principals=expected_principals),
            )


def _other_members(
    environment: Environment, expected: LakeSettings, live: LakeSettings
) -> Iterator[Difference]:
    managed = environment.governance.settings is not None
    for name in sorted(expected.others.keys() | live.others.keys()):
        expected_values = expected.others.get(name, frozenset())
        live_values = live.others.get(name, frozenset())
        if expected_values == live_values:
            continue
        foreign = expected_values <= live_values and (name in _SHARED or not managed)
        yield Difference(
            kind="note" if foreign else "differs",
            resource=f"data-lake setting {name}",
            detail=f"expected {listed(expected_values)}, found {listed(live_values)}",
            fix=put_member(name, expected_values),
        )


def _tags(expected: Governance, live: Governance) -> Iterator[Difference]:
    if not expected.tags:  # another environment of the account makes them
        return
    for key in sorted(expected.tags.keys() | live.tags.keys()):
        expected_values = expected.tags.get(key, frozenset())
        live_values = live.tags.get(key, frozenset())
        call = f"aws lakeformation update-lf-tag --tag-key {key}"
        if not live_values:
            values = " ".join(sorted(expected_values))
            fix = f"aws lakeformation create-lf-tag --tag-key {key} --tag-values {values}"
            yield Difference(kind="missing", resource=f"LF-Tag {key}", detail="", fix=fix)
        elif not expected_values:
            fix = f"aws lakeformation delete-lf-tag --tag-key {key}"
            yield Difference(kind="extra", resource=f"LF-Tag {key}", detail="", fix=fix)
        elif expected_values != live_values:
            add, drop = sorted(expected_values - live_values), sorted(live_values - expected_values)
            yield Difference(
                kind="differs",
                resource=f"LF-Tag {key}",
                detail=f"expected {listed(expected_values)}, found {listed(live_values)}",
                fix=call
                + (f" --tag-values-to-add {' '.join(add)}" if add else "")
                + (f" --tag-values-to-delete {' '.join(drop)}" if drop else ""),
            )
