"""The cap of CloudFormation's role, where it lets deploys change who assumes the roles."""

from collections.abc import Iterator

from sashiko.account.access.cap import cap_fault
from sashiko.account.account import Account
from sashiko.settings.environment import Settings
from sashiko_packs.operations.audit.difference import Difference


def cap(account: Account, settings: Settings) -> Iterator[Difference]:
    """Yields a difference while a deploy may change who assumes a role of the project.

    Raises:
        InputError: if the account cannot be read.
    """
    if fault := cap_fault(account, settings):
        yield Difference(
            kind="differs",
            resource="who assumes the roles: a deploy may change it",
            detail=fault,
            fix=f"make bootstrap ENV={settings.environment}",
        )
