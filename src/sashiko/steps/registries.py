"""Opens the registry that the pipeline's parameter `ModelRegistry` names."""

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from sashiko.errors import InputError
from sashiko.registry.attestation import statement_key
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.registry.model_packages.registrar import PackageRegistrar, Placement
from sashiko.registry.model_packages.registry import PackageRegistry, connect, translate_errors
from sashiko.registry.versions import Registrar, Registry

KINDS = "mlflow or sagemaker"


def open_registry(kind: str) -> Registry:
    """Opens a registry to read it.

    Raises:
        InputError: if it is unknown or unreachable.
    """
    return PackageRegistry(connect()) if is_sagemaker(kind) else _mlflow()


def open_registrar(kind: str, placement: Placement) -> Registrar:
    """Opens a registry to register a version; MLflow needs no placement.

    Raises:
        InputError: if it is unknown or unreachable.
    """
    return PackageRegistrar(connect(), placement) if is_sagemaker(kind) else _mlflow()


def is_signed(digest: bytes, signature: bytes, *, keys: Sequence[str]) -> bool:
    """Returns whether one of the KMS keys, aliases or ARNs, has signed a SHA-256 digest.

    Raises:
        InputError: if KMS refuses.
    """
    from sashiko.registry.preflight.signed_files import signer

    with translate_errors(f"verify a signature with the keys {', '.join(keys)}"):
        return signer(connect().kms, digest, signature, keys=keys) is not None


def is_sagemaker(kind: str) -> bool:
    """Whether a registry is SageMaker's.

    Raises:
        InputError: if the kind is unknown.
    """
    if kind not in ("mlflow", "sagemaker"):
        raise InputError(f"ModelRegistry={kind}: expected {KINDS}")
    return kind == "sagemaker"


def _mlflow() -> MlflowRegistry:
    return MlflowRegistry(os.environ.get("MLFLOW_TRACKING_URI", ""))


def image_statements(images: Sequence[str], *, models_uri: str) -> dict[str, bytes]:
    """Returns image URI -> statement in the bucket of the models, of the images that have one.

    AWS's own images have none, nor has an image that was built before statements were written.

    Raises:
        InputError: if S3 refuses.
    """
    statements: dict[str, bytes] = {}
    if not images:
        return statements
    bucket, s3 = urlsplit(models_uri).netloc, connect().s3
    for image in images:
        key = statement_key(image)
        with translate_errors(f"read s3://{bucket}/{key}"):
            # A missing object is a denied one to a role that may list no more than its prefix.
            objects = s3.list_objects_v2(Bucket=bucket, Prefix=key).get("Contents", ())
            if any(item["Key"] == key for item in objects):
                body = s3.get_object(Bucket=bucket, Key=key)["Body"]
                statements[image] = bytes(body.read())
    return statements
