"""What this machine can tell of a version's chain: its checkout, its run, its wheel."""

import json
from pathlib import Path
from typing import Final

from sashiko.base.files import read_json, sha256_file
from sashiko.pipeline.compiled import compile_pipeline
from sashiko.pipeline.definition.digest import definition_sha256
from sashiko.pipeline.project import has_commit, source
from sashiko.registry.attestation import Resource
from sashiko.registry.chain import Link
from sashiko.registry.versions import ModelVersion
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe

_HERE: Final = "not verifiable here"


class LocalWitness:
    """Looks at this checkout; it has no signing key and no registry of images."""

    def __init__(
        self, settings: Settings, recipe: Recipe, *, home: Path, version: ModelVersion
    ) -> None:
        self._settings = settings
        self._recipe = recipe
        self._home = home
        self._run = home / "runs" / version.tags.get("execution_id", "")

    def signature(self, _digest: bytes, _signature: bytes, /) -> Link:
        """Says that there is no key to verify a signature with."""
        return Link("provenance", _HERE, "this machine has no signing key")

    def image(self, image: Resource) -> Link:
        """Says that there is no registry of images to ask."""
        return Link(image.name, _HERE, f"sha256 {image.sha256}; this machine has no images")

    def content(self, image: Resource) -> Link:
        """Says that this machine builds no images."""
        return Link(f"{image.name}: content", _HERE, "this machine builds no images")

    def definition(self, sha256: str, *, commit: Resource | None) -> Link:
        """Compares the digest with the run's own definition, or with that of this checkout.

        A definition depends on settings and `--set` too, so that of the same commit may differ.
        """
        subject, file = "definition", self._run / "definition.json"
        if self._settings.tier == "local" and file.is_file():
            recording = definition_sha256(read_json(file))
            if recording == sha256:
                return Link(subject, "verified", f"sha256 {sha256}, as {file} has")
            return Link(subject, "broken", f"{file} has {recording}, the provenance says {sha256}")
        here = source()
        if commit is None or here.dirty or here.git_sha != commit.digest.get("gitCommit"):
            name = commit.digest.get("gitCommit", "its commit") if commit else "its commit"
            advice = f"git switch --detach {name}, and run the command again"
            return Link(subject, _HERE, f"sha256 {sha256}; to build it again: {advice}")
        compiled = compile_pipeline(self._settings, self._recipe, home=self._home)
        if definition_sha256(json.loads(compiled.definition)) == sha256:
            return Link(subject, "verified", f"sha256 {sha256}, as this checkout builds it")
        return Link(
            subject, _HERE, f"sha256 {sha256}; this checkout's settings or recipe build another one"
        )

    def commit(self, commit: Resource | None) -> Link:
        """Looks for the commit in this checkout, and whether it was all of the code."""
        if commit is None:
            return Link("commit", _HERE, "unknown: the run was not started in a git checkout")
        sha = commit.digest.get("gitCommit", "")
        if commit.annotations:
            return Link("commit", _HERE, f"{sha}, with changes that were not committed")
        if not has_commit(sha):
            return Link("commit", _HERE, f"{sha} is not in this checkout: git fetch")
        return Link("commit", "verified", f"{sha} is in this checkout")

    def wheel(self, wheel: Resource) -> Link:
        """Compares the digest with the wheel in `vendor/`; another one may be newer."""
        for file in sorted(Path("vendor").glob("*.whl")):
            if sha256_file(file) == wheel.sha256:
                return Link(wheel.name, "verified", f"sha256 {wheel.sha256}, as {file}")
        return Link(wheel.name, _HERE, f"sha256 {wheel.sha256}; vendor/ has another one, or none")
