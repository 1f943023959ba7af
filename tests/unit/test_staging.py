"""What a run finds staged, and what its places are named by."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sashiko.files import sha256_bytes
from sashiko.recipe import load_recipe
from sashiko.repository import Source, contract_file
from sashiko.staging import Staged, stage

SOURCE = Source(git_sha="1" * 40, dirty=False)


@pytest.fixture(scope="module")
def staged() -> Staged:
    return _staged(SOURCE)


def _staged(source: Source) -> Staged:
    recipe = load_recipe(Path("recipes/complaints.yaml"))
    return stage(recipe, contract_file=contract_file(recipe), bucket="b", started_from=source)


def test_the_source_names_the_commit_and_nothing_else_moves_with_it(staged: Staged) -> None:
    assert json.loads(staged.source.files["source.json"]) == {"git_sha": "1" * 40, "dirty": False}
    other = _staged(replace(SOURCE, dirty=True))
    assert other.source.uri != staged.source.uri
    assert replace(other, source=staged.source) == staged


def test_each_place_lies_below_its_folder_under_a_hash(staged: Staged) -> None:
    uris = [channel.uri for channel in (*staged.config.values(), staged.code, staged.source)]
    assert {uri.rsplit("/", 1)[0] for uri in uris} == {
        "s3://b/config",
        "s3://b/code",
        "s3://b/source",
    }
    assert all(len(uri.rsplit("/", 1)[1]) == 16 for uri in [*uris, staged.weights_uri])
    assert staged.contract_hash == sha256_bytes(Path("contracts/complaints.odcs.yaml").read_bytes())
