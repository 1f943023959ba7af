"""What OSV knows against packages: https://google.github.io/osv.dev/api/.

OSV holds the advisories of PyPI, GitHub and npm, and takes all packages in one question.
"""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sashiko.errors import InputError
from verification.supply.locks import Package, normalised

SERVICE = "https://api.osv.dev"
_AT_ONCE = 1000  # the most queries that OSV takes
_SECONDS = 30


class CouldNotRunError(Exception):
    """The service gave no reliable answer; the text says why. The audit has no result then."""


@dataclass(frozen=True, kw_only=True)
class Vulnerability:
    """One known vulnerability of one package."""

    package: Package
    ids: tuple[str, ...]  # OSV's first, then its aliases, such as the CVE's
    summary: str  # one line; empty where the advisory has none
    fixed: tuple[str, ...]  # the versions that are free of it, as far as the advisory says


def vulnerabilities(
    packages: Sequence[Package], *, service: str = SERVICE
) -> tuple[Vulnerability, ...]:
    """Returns every known vulnerability of some packages, in their order.

    Names and versions leave this machine for OSV or a mirror, and nothing else does.

    Raises:
        CouldNotRunError: if the service is not reached, or its answer is not OSV's.
        InputError: if `service` is no web address.
    """
    if not service.startswith(("https://", "http://")):
        raise InputError(f"--service {service}: expected an address such as {SERVICE}")
    try:
        return tuple(
            vulnerability
            for start in range(0, len(packages), _AT_ONCE)
            for vulnerability in _some(packages[start : start + _AT_ONCE], service.rstrip("/"))
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise CouldNotRunError(f"{service} gave an answer that is not OSV's: {error!r}") from error


def _some(packages: Sequence[Package], service: str) -> Iterator[Vulnerability]:
    ids: list[list[str]] = [[] for _ in packages]
    queries: list[tuple[int, dict[str, Any]]] = [
        (place, _query(package)) for place, package in enumerate(packages)
    ]
    while queries:
        body = {"queries": [query for _, query in queries]}
        results = _fetch(f"{service}/v1/querybatch", body)["results"]
        if len(results) != len(queries):
            raise CouldNotRunError(f"{service} answered {len(results)} of {len(queries)} questions")
        following = []
        for (place, query), result in zip(queries, results, strict=True):
            ids[place] += [item["id"] for item in result.get("vulns", ())]
            if token := result.get("next_page_token"):
                following.append((place, {**query, "page_token": token}))
        queries = following
    for package, own in zip(packages, ids, strict=True):
        yield from _described(package, sorted(set(own)), service)


def _query(package: Package) -> dict[str, Any]:
    return {
        "package": {"name": package.name, "ecosystem": package.ecosystem},
        "version": package.version,
    }


def _described(package: Package, ids: Sequence[str], service: str) -> Iterator[Vulnerability]:
    """Yields each vulnerability once: PyPI's and GitHub's entries for it name each other."""
    known: set[str] = set()
    for name in ids:
        if name in known:
            continue
        advisory = _fetch(f"{service}/v1/vulns/{name}")
        aliases = tuple(advisory.get("aliases", ()))
        known |= {name, *aliases}
        text = advisory.get("summary") or advisory.get("details") or ""
        yield Vulnerability(
            package=package,
            ids=(name, *aliases),
            summary=(text.strip().splitlines() or [""])[0],
            fixed=tuple(dict.fromkeys(_fixed(advisory, package))),
        )


def _fixed(advisory: dict[str, Any], package: Package) -> Iterator[str]:
    for affected in advisory.get("affected", ()):
        if normalised(affected.get("package", {}).get("name", "")) != normalised(package.name):
            continue
        for stretch in affected.get("ranges", ()):
            if stretch.get("type") != "GIT":
                yield from (event["fixed"] for event in stretch["events"] if "fixed" in event)


def _fetch(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(  # noqa: S310 - a web address, as `vulnerabilities` has checked
        url, data=data, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310 - as above
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise CouldNotRunError(f"{url}: HTTP {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise CouldNotRunError(f"{url}: {reason}") from error
