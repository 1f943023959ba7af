"""Where the files behind an S3 URI of the analysis configuration are on this machine."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from sashiko.core.files import read_json, walk_files
from sashiko.core.job_folders import job_config_file, opt_ml
from sashiko.errors import InputError

_CONTAINER = PurePosixPath("/opt/ml")


def files_at(uri: str, *, key: str, scratch: Path) -> list[Path]:
    """Returns the files at a URI, in the order of their names.

    Clarify's container downloads them. So does this one where it has a network; in one without, or
    on a laptop, the files are those of the processing input that SageMaker, or the runner, staged
    from the same URI. A path of this machine is taken as it is.

    Args:
        uri: an S3 object, an S3 prefix (all objects below it), or a path.
        key: the configuration's key, for errors.
        scratch: an empty folder for what is downloaded.

    Raises:
        InputError: if there is no file, or S3 refuses.
    """
    place = _staged(uri) if uri.startswith("s3://") else Path(uri)
    if place is None:
        place = _downloaded(uri, key=key, scratch=scratch)
    files = [place] if place.is_file() else list(walk_files(place))
    if not files:
        raise InputError(f"analysis configuration: `{key}`: there is no file at {uri}")
    return files


def _staged(uri: str) -> Path | None:
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
            below = PurePosixPath(source["LocalPath"]).relative_to(_CONTAINER)
            yield source["S3Uri"], opt_ml() / below


def _downloaded(uri: str, *, key: str, scratch: Path) -> Path:
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, _, name = uri.removeprefix("s3://").partition("/")
    scratch.mkdir(parents=True, exist_ok=True)
    try:
        client = boto3.client("s3")
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=name)
        listed = [item["Key"] for page in pages for item in page.get("Contents", ())]
        found = [one for one in listed if not one.endswith("/")]  # without markers of folders
        prefix = f"{name.rstrip('/')}/" if name else ""
        below = [one for one in found if one.startswith(prefix)]
        for number, one in enumerate([name] if name in found else below):
            # Numbered, so that no key leads out of the folder, and in the order of the keys.
            target = scratch / f"{number:06}-{PurePosixPath(one).name}"
            client.download_file(bucket, one, str(target))
    except (BotoCoreError, ClientError) as error:
        raise InputError(
            f"analysis configuration: `{key}`: cannot read {uri}: {error}; let the job's role read "
            "it, or make it an input of the job, which a job without a network needs"
        ) from error
    return scratch
