"""What a run finds staged, and what its places are named by."""

import json
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from sashiko.account.names import bucket_name
from sashiko.base.files import canonical_json, sha256_bytes, write_bytes
from sashiko.errors import InputError
from sashiko.pipeline.project import Source, contract_file
from sashiko.pipeline.staging import run_manifest, serving_code, staged_inputs
from sashiko.settings.environment import load_settings
from sashiko.settings.recipe import load_recipe
from sashiko.settings.recipe_data import TextSection
from sashiko.steps.sections import (
    Channel,
    config_files,
    make_channel,
    read_contract,
    read_section,
    read_waivers,
)

DEV = load_settings("dev")
RECIPE = load_recipe(Path("recipes/complaints.yaml"))
BUCKET = bucket_name(DEV, "artifacts")


def files_of(*sections: str) -> dict[str, bytes]:
    return config_files("Redact", sections, recipe=RECIPE, contract_file=contract_file(RECIPE))


def test_the_run_manifest_names_the_commit_and_lies_where_its_content_says(monkeypatch):
    uris = []
    for dirty in (False, True):
        commit = Source(git_sha="1" * 40, dirty=dirty)
        monkeypatch.setattr("sashiko.pipeline.staging.source", lambda commit=commit: commit)
        manifest = run_manifest(DEV)
        source = json.loads(manifest.files["source.json"])
        assert source == {"git_sha": "1" * 40, "dirty": dirty}
        uris.append(manifest.uri)
    assert len(set(uris)) == 2
    assert {uri.rsplit("/", 1)[0] for uri in uris} == {f"s3://{BUCKET}/source"}


def test_each_place_says_what_it_has_to_hold() -> None:
    channel = make_channel(BUCKET, "code", {"text.py": b"code"})
    staged = staged_inputs(DEV, RECIPE, [channel])
    assert staged.places == {
        channel.uri: {"text.py": sha256_bytes(b"code")},
        staged.run_manifest.uri: {
            "source.json": sha256_bytes(staged.run_manifest.files["source.json"])
        },
        staged.weights_uri: dict(RECIPE.model.files),
    }


def test_the_code_that_compile_ships_is_whole() -> None:
    files = serving_code("cpu")
    assert {"compile_model.py", "inference.py", "export.py", "target.json"} <= set(files)
    assert "__init__.py" not in files


def test_a_channel_is_the_same_bytes_after_a_journey_through_json() -> None:
    channel = make_channel("b", "config", {"a.json": b'"\xc3\xa9"', "b.bin": b"\xff\x00"})
    assert Channel.model_validate(channel.model_dump(mode="json")) == channel
    assert Channel.model_validate_json(channel.model_dump_json()) == channel
    assert make_channel("b", "config", {"a.json": b"1"}).uri != channel.uri


def test_a_step_finds_the_sections_of_its_line_alone_and_an_unknown_one_is_refused() -> None:
    files = files_of("contract", "text")
    assert set(files) == {"contract.odcs.yaml", "text.json"}
    assert files["contract.odcs.yaml"] == contract_file(RECIPE).read_bytes()
    assert files["text.json"] == canonical_json(RECIPE.text.model_dump(mode="json"))

    with pytest.raises(InputError) as refused:
        files_of("contract", "redaction")
    message = str(refused.value)
    assert all(word in message for word in ("step Redact", "`redaction`", "contract", "waivers"))


@pytest.mark.parametrize(("read", "section"), [
    (lambda: read_section(TextSection, "text"), "text"),
    (read_waivers, "waivers"),
    (read_contract, "contract"),
])  # fmt: skip
def test_what_the_line_leaves_out_says_which_line(tmp_path, monkeypatch, read, section: str):
    monkeypatch.setenv("OPT_ML", str(tmp_path))
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", ModuleSpec("acme.steps.redact", None))
    folder = tmp_path / "processing/input/config"
    for name, content in files_of("data").items():
        write_bytes(folder / name, content)
    with pytest.raises(InputError) as refused:
        read()
    message = str(refused.value)
    assert all(word in message for word in (str(folder), "pipelines/", "`config`", f'"{section}"'))
    assert 'module="acme.steps.redact"' in message
    for name, content in files_of(section).items():
        write_bytes(folder / name, content)
    assert read() is not None
