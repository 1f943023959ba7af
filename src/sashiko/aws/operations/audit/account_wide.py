"""Differences of what an account has once: its data-lake settings and its LF-Tags."""

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

# Other teams add theirs here, and the templates only add to the list. What else is on, such as
# access by engines outside of AWS, opens the lake itself.
_SHARED = {"Parameters", "ReadOnlyAdmins", "TrustedResourceOwners"}


def account_wide(environment: Environment, live: Governance) -> Iterator[Difference]:
    """Yields what the account has not as the templates have it, or as the environment needs it."""
    if environment.settings.lake_formation.mode == "enforced" and live.settings:
        # Where the account's settings are another stack's, this is what the lake needs of them.
        needed = LakeSettings(admins=frozenset({exec_role_arn(environment.settings)}))
        expected = environment.governance.settings or needed
        yield from _administrators(environment, expected, live.settings)
        yield from _defaults(expected, live.settings)
        yield from _others(environment, expected, live.settings)
    yield from _tags(environment.governance, live)


def _administrators(
    environment: Environment, expected: LakeSettings, live: LakeSettings
) -> Iterator[Difference]:
    """An administrator may grant itself anything: each that no template names is shown."""
    ours = {role.arn for role in environment.principals}
    for admin in sorted(expected.admins ^ live.admins):
        resource = f"data-lake administrator {admin}"
        if admin in live.admins:
            yield Difference(
                kind="extra" if admin in ours else "note",
                resource=resource,
                detail="may grant itself anything; no template names it",
                fix=drop_administrators([admin]),
            )
        else:
            fix = add_administrator(admin)
            yield Difference(kind="missing", resource=resource, detail="", fix=fix)


def _defaults(expected: LakeSettings, live: LakeSettings) -> Iterator[Difference]:
    for what, wanted, found in (
        ("Database", expected.database_defaults, live.database_defaults),
        ("Table", expected.table_defaults, live.table_defaults),
    ):
        if wanted != found:
            yield Difference(
                kind="differs",
                resource=f"default permissions of a new {what.lower()}",
                detail=f"expected {listed(wanted)}, found {listed(found)}",
                fix=put_defaults(what, principals=wanted),
            )


def _others(
    environment: Environment, expected: LakeSettings, live: LakeSettings
) -> Iterator[Difference]:
    ours = environment.governance.settings is not None
    for name in sorted(expected.others.keys() | live.others.keys()):
        wanted = expected.others.get(name, frozenset())
        found = live.others.get(name, frozenset())
        if wanted == found:
            continue
        foreign = wanted <= found and (name in _SHARED or not ours)
        yield Difference(
            kind="note" if foreign else "differs",
            resource=f"data-lake setting {name}",
            detail=f"expected {listed(wanted)}, found {listed(found)}",
            fix=put_member(name, wanted),
        )


def _tags(expected: Governance, live: Governance) -> Iterator[Difference]:
    if not expected.tags:  # another environment of the account makes them
        return
    for key in sorted(expected.tags.keys() | live.tags.keys()):
        wanted, found = expected.tags.get(key, frozenset()), live.tags.get(key, frozenset())
        call = f"aws lakeformation update-lf-tag --tag-key {key}"
        if not found:
            values = " ".join(sorted(wanted))
            fix = f"aws lakeformation create-lf-tag --tag-key {key} --tag-values {values}"
            yield Difference(kind="missing", resource=f"LF-Tag {key}", detail="", fix=fix)
        elif not wanted:
            fix = f"aws lakeformation delete-lf-tag --tag-key {key}"
            yield Difference(kind="extra", resource=f"LF-Tag {key}", detail="", fix=fix)
        elif wanted != found:
            add, drop = sorted(wanted - found), sorted(found - wanted)
            yield Difference(
                kind="differs",
                resource=f"LF-Tag {key}",
                detail=f"expected {listed(wanted)}, found {listed(found)}",
                fix=call
                + (f" --tag-values-to-add {' '.join(add)}" if add else "")
                + (f" --tag-values-to-delete {' '.join(drop)}" if drop else ""),
            )
