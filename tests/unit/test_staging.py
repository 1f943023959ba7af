"""What a run finds staged, and what its places are named by."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sashiko.aws.names import bucket_name
from sashiko.files import sha256_bytes
from sashiko.recipe import load_recipe
from sashiko.repository import Source, contract_file, source
from sashiko.settings import load_settings
from sashiko.staging import Staged, stage, staged_inputs

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


def test_each_place_says_what_it_has_to_hold(staged: Staged) -> None:
    weights = dict(load_recipe(Path("recipes/complaints.yaml")).model.files)
    assert staged.places == {
        **{
            channel.uri: {name: sha256_bytes(content) for name, content in channel.files.items()}
            for channel in (*staged.config.values(), staged.code, staged.source)
        },
        staged.weights_uri: weights,
    }


def test_an_environments_inputs_lie_in_its_bucket_and_are_of_this_commit() -> None:
    settings = load_settings("dev")
    recipe = load_recipe(Path("recipes/complaints.yaml"))
    assert staged_inputs(settings, recipe) == stage(
        recipe,
        contract_file=contract_file(recipe),
        bucket=bucket_name(settings, "artifacts"),
        started_from=source(),
    )
