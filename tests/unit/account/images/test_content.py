"""The tag of an image: another content is another one, and nothing else is."""

import os
import shutil
from pathlib import Path

import pytest

from sashiko import __version__
from sashiko.account.images.job_images import content_tag, copied_files, image_builds, job_images
from sashiko.errors import InputError
from sashiko.settings.environment import load_settings

JOB, SERVING = "images/job/Dockerfile", "images/serving/Dockerfile"


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A small repository with the real Dockerfiles and rules."""
    for name in (".dockerignore", JOB, SERVING):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    names = ("requirements/job.txt", "requirements/serving-cpu.txt", "src/sashiko/one.py")
    for name in (*names, "pyproject.toml", "README.md", "LICENSE"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tags(base="pytorch:1"):
    return {
        "job": content_tag(dockerfile=JOB, target="job", base=base),
        "serving": content_tag(dockerfile=SERVING, target="serving", base=base),
    }


@pytest.mark.parametrize(
    ("file", "changed"),
    [
        ("src/sashiko/one.py", {"job"}),
        ("src/sashiko/two.py", {"job"}),
        ("requirements/job.txt", {"job"}),
        ("requirements/serving-cpu.txt", {"serving"}),
        (SERVING, {"serving"}),
        # What .dockerignore keeps out, or no COPY names, is in no image.
        ("src/sashiko/__pycache__/one.pyc", set()),
        ("src/sashiko.egg-info/PKG-INFO", set()),
        ("docs/index.md", set()),
    ],
)
def test_a_changed_file_changes_the_tags_of_the_images_that_hold_it(checkout, file, changed):
    before = tags()
    (checkout / file).parent.mkdir(parents=True, exist_ok=True)
    with (checkout / file).open("a") as text:
        text.write("# more\n")
    after = tags()
    assert {name for name in before if before[name] != after[name]} == changed


def test_time_and_mode_of_a_file_do_not_count(checkout):
    before = tags()
    for path in checkout.rglob("*.py"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o755)
    assert tags() == before


def test_another_base_or_stage_is_another_tag(checkout):
    assert tags("pytorch:2")["job"] != tags()["job"]
    bias = content_tag(dockerfile=JOB, target="bias", base="pytorch:1")
    assert bias != tags()["job"]


def test_a_checkout_that_lacks_a_file_is_an_error_that_names_it(checkout):
    (checkout / "LICENSE").unlink()
    with pytest.raises(InputError, match="images/job/Dockerfile: COPY LICENSE: there is no such"):
        tags()
    (checkout / JOB).unlink()
    with pytest.raises(InputError, match=r"images/job/Dockerfile is not in .*the project's root"):
        tags()


def test_the_code_that_runs_is_in_the_job_image():
    assert Path("src/sashiko/account/images/job_images.py") in copied_files(JOB)


def test_one_content_has_one_tag_in_each_region_and_project():
    elsewhere = SETTINGS.model_copy(update={"region": "eu-west-1", "project": "other"})
    there = {build.image: build.tag for build in image_builds(elsewhere, "cpu")}
    assert there == {build.image: build.tag for build in image_builds(SETTINGS, "cpu")}


def test_a_pinned_digest_is_another_tag_of_what_is_built_on_it_alone():
    digests = {"job-cpu": f"sha256:{'1' * 64}"}
    pinned = SETTINGS.model_copy(update={"image_digests": digests})
    before = {build.image: build.tag for build in image_builds(SETTINGS, "cpu")}
    after = {build.image: build.tag for build in image_builds(pinned, "cpu")}
    assert {name for name in before if before[name] != after[name]} == {"job", "bias"}


def test_jobs_name_what_is_built_and_this_machine_the_version():
    images = job_images(SETTINGS, "cpu")
    named = {images.job.uri, images.train.uri, images.bias.uri, images.serving.uri}
    assert named == {build.uri for build in image_builds(SETTINGS, "cpu")}
    local = job_images(load_settings("local", folder=ROOT / "config"), "cpu")
    assert local.job.uri.rpartition(":")[2] == __version__


def test_no_image_is_built_that_no_job_runs_in():
    assert {build.image for build in image_builds(SETTINGS, "inf2")} == {"bias", "job", "train"}
    bias = SETTINGS.bias.model_copy(update={"backend": "clarify"})
    clarify = SETTINGS.model_copy(update={"bias": bias})
    assert "bias" not in {build.image for build in image_builds(clarify, "cpu")}
