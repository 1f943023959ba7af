"""The pack's commands as a person meets them."""

import json

import pytest
from typer.testing import CliRunner

from sashiko.cli import app
from sashiko.errors import InputError
from tests.unit.commands.in_process import ROOT, sashiko


@pytest.mark.parametrize("command", ["audit", "cost", "empty", "images"])
def test_what_needs_an_account_refuses_this_machine_in_the_same_words(command: str) -> None:
    refused = CliRunner().invoke(app, [command, "--env", "local"])
    assert isinstance(refused.exception, InputError)
    assert "environment `local` is this machine: it has no account" in str(refused.exception)


def test_images_says_what_to_build_from_and_how_to_look_a_digest_up() -> None:
    output = json.loads(sashiko("images", "--env", "dev", "--json").stdout)
    bases = {image["uri"] for image in output["images"]}
    builds = {build["image"]: build for build in output["builds"]}
    assert {"job", "train", "bias"} <= set(builds)
    for build in builds.values():
        assert build["base"] in bases
        assert (ROOT / build["dockerfile"]).is_file()
    for image in output["images"]:
        assert image["digest"] or image["look_up"].startswith("aws ecr describe-images ")


def test_what_an_environment_keeps_is_not_deleted() -> None:
    done = sashiko("empty", "--env", "prod", "--yes")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "prod keeps its data (`on_destroy: retain`): nothing was deleted\n"
