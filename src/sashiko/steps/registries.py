"""Opens the registry that the pipeline's parameter `ModelRegistry` names."""

import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from sashiko.errors import InputError
from sashiko.registry.mlflow import MlflowRegistry
from sashiko.registry.model_packages.clients import connect
from sashiko.registry.model_packages.image_statements import read_image_statements
from sashiko.registry.model_packages.registrar import PackageRegistrar, Placement
from sashiko.registry.model_packages.registry import PackageRegistry
from sashiko.registry.versions import Registrar, Registry

KINDS = "mlflow or sagemaker"


def open_registry(kind: str) -> Registry:
    """Opens a registry to read it.

    Raises:
        InputError: if it is unknown or unreachable.
    """
    return PackageRegistry(connect()) if _is_sagemaker(kind) else _mlflow()


def open_registrar(kind: str, placement: Placement) -> Registrar:
    """Opens a registry to register a version; MLflow needs no placement.

    Raises:
        InputError: if it is unknown or unreachable.
    """
    return PackageRegistrar(connect(), placement) if _is_sagemaker(kind) else _mlflow()


def _is_sagemaker(kind: str) -> bool:
    if kind not in ("mlflow", "sagemaker"):
        raise InputError(f"ModelRegistry={kind}: expected {KINDS}")
    return kind == "sagemaker"


def _mlflow() -> MlflowRegistry:
    return MlflowRegistry(os.environ.get("MLFLOW_TRACKING_URI", ""))


def image_statements(images: Sequence[str], *, models_uri: str) -> dict[str, bytes]:
    """Returns image URI -> the statement about it, of the images that have one.

    They lie in the bucket of the models.

    Raises:
        InputError: if S3 refuses.
    """
    if not images:
        return {}
    return read_image_statements(connect(), images, bucket=urlsplit(models_uri).netloc)
