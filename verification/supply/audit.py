"""The vulnerability audit: what OSV knows against the packages of all locks.

    python -m verification.supply.audit

Reads requirements/*.txt and npm's lock, and resolves nothing. Exit status: 0 nothing is known, or
all of it is accepted in requirements/accepted.yaml; 4 there are open findings; 5 it could not run,
so nothing is known; 1 an error.
"""

import argparse
import datetime as dt
import sys
from collections.abc import Sequence
from pathlib import Path

from sashiko.account.endpoint_spec import Accepted, read_accepted
from sashiko.errors import CHECK_FAILED, InputError
from verification.supply.locks import (
    NPM_LOCK,
    PYTHON_LOCKS,
    Package,
    read_npm_lock,
    read_python_lock,
)
from verification.supply.osv import SERVICE, CouldNotRunError, Vulnerability, vulnerabilities

NOT_RUN = 5  # neither a pass nor a finding


def main() -> int:
    """Prints the findings; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m verification.supply.audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--service", default=SERVICE, help="OSV's address, or a mirror's")
    parser.add_argument("--locks", type=Path, default=Path(), help="the repository's root")
    arguments = parser.parse_args()
    locks = read_locks(arguments.locks)
    accepted = read_accepted(arguments.locks / PYTHON_LOCKS / "accepted.yaml")
    print(f"asking {arguments.service} about {len(locks)} packages", file=sys.stderr)
    try:
        reported = vulnerabilities(list(locks), service=arguments.service)
    except CouldNotRunError as reason:
        print(
            f"the audit could not run: {reason}\nNothing is known of the {len(locks)} packages. "
            "Run it where the service is reached (a proxy: HTTPS_PROXY; a mirror: --service)",
            file=sys.stderr,
        )
        return NOT_RUN
    today = dt.datetime.now(dt.UTC).date()
    open_items = [item for item in reported if acceptance(item, accepted, today=today) is None]
    for item in reported:
        print(described(item, locks[item.package], acceptance(item, accepted, today=today)))
    for entry in unused(accepted, reported):
        print(f"{entry.package}: {entry.id} is accepted and not found any more: remove it")
    print(
        f"{len(locks)} packages: {len(open_items)} open findings, "
        f"{len(reported) - len(open_items)} accepted",
        file=sys.stderr,
    )
    return CHECK_FAILED if open_items else 0


def read_locks(root: Path) -> dict[Package, tuple[str, ...]]:
    """Reads every lock below a repository's root.

    Returns:
        Each package and version once, with the names of the locks that have it.

    Raises:
        InputError: if there is no lock, or one cannot be read.
    """
    files = sorted((root / PYTHON_LOCKS).glob("*.txt"))
    if not files:
        raise InputError(
            f"{root / PYTHON_LOCKS}: no locks; run the command in the repository's root"
        )
    packages: dict[Package, tuple[str, ...]] = {}
    for file in files:
        for package in read_python_lock(file):
            # Two locks may list different files of one version.
            pinned = Package(ecosystem="PyPI", name=package.name, version=package.version)
            packages[pinned] = (*packages.get(pinned, ()), file.stem)
    for file in (root / NPM_LOCK, *root.glob(f"docs/{NPM_LOCK}")):
        for package in read_npm_lock(file):
            packages[package] = (str(file.relative_to(root)),)
    return packages


def acceptance(
    item: Vulnerability, accepted: Sequence[Accepted], *, today: dt.date
) -> Accepted | None:
    """Returns the entry that accepts a vulnerability on a day, if there is one."""
    return next((one for one in accepted if _is_of(one, item) and today <= one.expires), None)


def unused(accepted: Sequence[Accepted], reported: Sequence[Vulnerability]) -> list[Accepted]:
    """Returns the accepted entries that match no finding."""
    return [one for one in accepted if not any(_is_of(one, item) for item in reported)]


def described(item: Vulnerability, locks: Sequence[str], by: Accepted | None) -> str:
    """Returns a finding's line."""
    fixed = f"; fixed in {', '.join(item.fixed)}" if item.fixed else "; no fixed version is known"
    note = f"; accepted until {by.expires} by {by.owner}: {by.reason}" if by else ""
    return (
        f"{item.package.name} {item.package.version} ({', '.join(locks)}): "
        f"{', '.join(item.ids)}: {item.summary}{fixed}{note}"
    )


def _is_of(one: Accepted, item: Vulnerability) -> bool:
    return one.id in item.ids and one.package == item.package.name


if __name__ == "__main__":
    try:
        sys.exit(main())
    except InputError as error:
        sys.exit(f"error: {error}")
