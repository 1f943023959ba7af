"""What an environment's account can tell of a version's chain, as far as the caller may ask."""

from pathlib import Path
from typing import Final

from sashiko.account.account import Account, DeniedError
from sashiko.account.images.job_images import image_builds
from sashiko.account.images.own_images import NO_REPOSITORY, image_request
from sashiko.account.names import trusted_signing_aliases
from sashiko.pipeline.witness import LocalWitness
from sashiko.registry.attestation import Resource, image_uri
from sashiko.registry.chain import Link
from sashiko.registry.preflight.signed_files import signer
from sashiko.registry.versions import ModelVersion
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe

_HERE: Final = "not verifiable here"


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
            return Link(
                "provenance", "broken", f"its signature is not of {' or '.join(self._keys)}"
            )
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
            return Link(
                image.name, _HERE, f"sha256 {image.sha256}; the image is not there any more"
            )
        digest = answer["imageDetails"][0]["imageDigest"].removeprefix("sha256:")
        if digest != image.sha256:
            detail = f"{uri} has sha256 {digest}, the provenance says {image.sha256}"
            return Link(image.name, "broken", detail)
        return Link(image.name, "verified", f"sha256 {digest}, as ECR has it")

    def content(self, image: Resource) -> Link:
        """Compares an image's tag, a digest of its content, with this checkout's."""
        builds = image_builds(self._settings, self._recipe.compile.target)
        name, tag = f"{image.name}: content", image.uri.rpartition("tag=")[2]
        if tag in {build.tag for build in builds}:
            return Link(name, "verified", "this checkout builds the same tag from its files")
        return Link(name, _HERE, "this checkout has other files: git switch to the commit below")
