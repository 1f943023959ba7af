"""Checks before an execution starts; reports all problems at once."""

import re
from collections.abc import Iterator
from typing import Any

from sashiko.aws.operations.runs.content_store import ContentStore
from sashiko.aws.operations.runs.deployed import difference, texts
from sashiko.aws.operations.runs.executions import STARTED_BY
from sashiko.aws.resources.account import Account
from sashiko.aws.resources.images.own_images import is_built
from sashiko.aws.resources.names import bucket_name
from sashiko.pipeline.staging import Staged
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe


def missing(
    settings: Settings,
    recipe: Recipe,
    *,
    staged: Staged,
    compiled: Any,
    deployed: Any,
    account: Account,
) -> Iterator[str]:
    """Yields each problem that prevents a run of the deployed pipeline, with its fix.

    Raises:
        InputError: if the caller may not look.
    """
    if path := difference(compiled, deployed):
        yield (
            f"the deployed pipeline is not that of this checkout; they differ first in {path}: "
            f"make deploy ENV={settings.environment}, or check out what was deployed"
        )
    yield from _unstaged(settings, recipe, staged=staged, deployed=deployed, account=account)
    yield from _unbuilt(settings, deployed, account)


def _unstaged(
    settings: Settings, recipe: Recipe, *, staged: Staged, deployed: Any, account: Account
) -> Iterator[str]:
    bucket = re.escape(bucket_name(settings, "artifacts"))
    place = re.compile(rf"s3://{bucket}/(?:code|config|source|weights)/[0-9a-f]{{16}}")
    expected_files = staged.places
    fix = f"sashiko stage --env {settings.environment} --recipe {recipe.name}"
    store = ContentStore(account)
    for uri in sorted({match for text in texts(deployed) for match in place.findall(text)}):
        sizes = store.sizes(uri, role=STARTED_BY)
        missing_files = sorted(set(expected_files.get(uri, ())) - set(sizes))
        if missing_files:
            yield f"{uri} lacks {', '.join(missing_files)}: {fix}"
        elif not sizes:  # of another commit: its file names are unknown here
            yield f"{uri} is not there: {fix}, in the checkout that was deployed"


def _unbuilt(settings: Settings, deployed: Any, account: Account) -> Iterator[str]:
    registry = rf"{settings.account}\.dkr\.ecr\.{settings.region}\.amazonaws\.com"
    image = re.compile(rf"{registry}/[^:@]+(?::[^:@]+|@sha256:[0-9a-f]{{64}})")
    for uri in sorted({text for text in texts(deployed) if image.fullmatch(text)}):
        if not is_built(account, uri, role=STARTED_BY):
            yield f"the image {uri} is not built: make deploy ENV={settings.environment}"
