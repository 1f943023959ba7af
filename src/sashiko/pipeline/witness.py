"""What this machine can tell of a version's chain: its checkout, its run, its wheel."""

import json
from pathlib import Path
from typing import Final

from sashiko.account.account import Account, DeniedError
from sashiko.account.content_store import NO_REPOSITORY, image_request
from sashiko.account.names import trusted_signing_aliases
from sashiko.base.files import read_json, sha256_file
from sashiko.pipeline.compiled import compile_pipeline
from sashiko.pipeline.definition.definition_records import definition_sha256
from sashiko.pipeline.project import has_commit, source
from sashiko.registry.attestation import Resource, image_uri
from sashiko.registry.chain import Link
from sashiko.registry.preflight.signed_files import signer
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
        another = "this checkout's settings or recipe build another one"
        return Link(subject, _HERE, f"sha256 {sha256}; {another}")

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


class AccountWitness(LocalWitness):
    """Asks KMS and ECR, and this checkout."""

    def __init__(
        self, settings: Settings, recipe: Recipe, *, home: Path, version: ModelVersion
    ) -> None:
        """Makes no call."""
        super().__init__(settings, recipe, home=home, version=version)
        self._account = Account(settings)
        self._keys = trusted_signing_aliases(settings)

    def signature(self, digest: bytes, signature: bytes, /) -> Link:
        """Verifies a signature with the environment's keys.

        Raises:
            InputError: if KMS does not answer.
        """
        try:
            with self._account.translate_errors("kms:verify"):
                kms = self._account.client("kms")
                key = signer(kms, digest, signature, keys=self._keys)
        except DeniedError as error:
            return Link("provenance", _HERE, f"it is signed; {error}")
        if key is None:
            known = " or ".join(self._keys)
            return Link("provenance", "broken", f"its signature is not of {known}")
        return Link("provenance", "verified", f"signed by {key}")

    def image(self, image: Resource) -> Link:
        """Compares an image's digest with what its tag, which never moves, names now.

        Raises:
            InputError: if ECR does not answer.
        """
        uri = image_uri(image.uri)
        request = image_request(uri)
        if request["registryId"] != self._account.number:
            where = f"sha256 {image.sha256}; ask in the account {request['registryId']}"
            return Link(image.name, _HERE, where)
        absent = ("ImageNotFoundException", *NO_REPOSITORY)
        try:
            answer = self._account.read("ecr", "describe_images", absent=absent, **request)
        except DeniedError as error:
            return Link(image.name, _HERE, f"sha256 {image.sha256}; {error}")
        if answer is None:
            gone = "the image is not there any more"
            return Link(image.name, _HERE, f"sha256 {image.sha256}; {gone}")
        digest = answer["imageDetails"][0]["imageDigest"].removeprefix("sha256:")
        if digest != image.sha256:
            detail = f"{uri} has sha256 {digest}, the provenance says {image.sha256}"
            return Link(image.name, "broken", detail)
        return Link(image.name, "verified", f"sha256 {digest}, as ECR has it")
