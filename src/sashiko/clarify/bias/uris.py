"""Resolves S3 URIs of the analysis configuration to local files."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from sashiko.core.files import read_json, walk_files
from sashiko.core.job_folders import job_config_file, opt_ml
from sashiko.errors import InputError

_CONTAINER = PurePosixPath("/opt/ml")


def files_at(uri: str, *, key: str, scratch: Path) -> list[Path]:
    """Returns the files at a URI, in the order of their names.

    A URI that SageMaker or the local runner staged as a processing input resolves to that input.
    Other URIs are downloaded, which needs a network. A local path is used unchanged.

    Args:
        uri: an S3 object, an S3 prefix (all objects below it), or a path.
        key: the configuration's key, for errors.
        scratch: an empty folder for downloads.

    Raises:
        InputError: if there is no file, or S3 refuses.
    """
    path = _staged_path(uri) if uri.startswith("s3://") else Path(uri)
    if path is None:
        path = _download(uri, key=key, scratch=scratch)
    files = [path] if path.is_file() else list(walk_files(path))
    if not files:
        raise InputError(f"analysis configuration: `{key}`: there is no file at {uri}")
    return files


def _staged_path(uri: str) -> Path | None:
    for source, folder in _inputs():
        if uri.rstrip("/") == source.rstrip("/"):
            return folder
        if uri.startswith(source.rstrip("/") + "/"):
            return folder / uri.removeprefix(source.rstrip("/") + "/")
    return None


def _inputs() -> Iterator[tuple[str, Path]]:
    """Yields the S3 URI and the folder of each input of this job."""
    if not job_config_file().is_file():
        return
    config: Any = read_json(job_config_file())
    for item in config.get("ProcessingInputs") or ():
        source = item.get("S3Input")
        if source:
            relative = PurePosixPath(source["LocalPath"]).relative_to(_CONTAINER)
            yield source["S3Uri"], opt_ml() / relative


def _download(uri: str, *, key: str, scratch: Path) -> Path:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, name = uri.removeprefix("s3://").partition("/")
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        client = boto3.client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=name)
        all_keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
        object_keys = [
            object_key for object_key in all_keys if not object_key.endswith("/")
        ]  # without markers of folders
        prefix = f"{name.rstrip('/')}/" if name else ""
        matching_keys = [object_key for object_key in object_keys if object_key.startswith(prefix)]
        for number, object_key in enumerate([name] if name in object_keys else matching_keys):
            # Numbered in key order, so that no key can escape the folder.
            target = scratch / f"{number:06}-{PurePosixPath(object_key).name}"
            client.download_file(bucket, object_key, str(target))
    except (BotoCoreError, ClientError) as error:
        raise InputError(
            f"analysis configuration: `{key}`: cannot read {uri}: {error}; let the job's role read "
            "it, or make it an input of the job, which a job without a network needs"
        ) from error
    return scratch
