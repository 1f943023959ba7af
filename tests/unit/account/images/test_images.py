"""The map of images: held against the locked SDK, the recipes, the definition and the lock."""

import importlib.util
import json
import os
import re
import shutil
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from sashiko import __version__
from sashiko.account.images.job_images import (
    MAP_FILE,
    aws_image,
    content_tag,
    copied_files,
    image_builds,
    image_map,
    job_images,
    read_image_map,
    source_hashes,
)
from sashiko.errors import InputError
from sashiko.settings.environment import load_settings
from sashiko.settings.environment_sections import BiasSection
from sashiko.settings.recipe import load_recipe
from sashiko.settings.recipe_train import CompileSection
from sashiko.settings.types import ImageName

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
        "job": content_tag(source_hashes(JOB), target="job", base=base),
        "serving": content_tag(source_hashes(SERVING), target="serving", base=base),
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
    bias = content_tag(source_hashes(JOB), target="bias", base="pytorch:1")
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


def test_one_content_has_one_tag_and_no_image_is_built_that_no_job_runs_in():
    elsewhere = SETTINGS.model_copy(update={"region": "eu-west-1", "project": "other"})
    there = {build.image: build.tag for build in image_builds(elsewhere, "cpu")}
    assert there == {build.image: build.tag for build in image_builds(SETTINGS, "cpu")}

    assert {build.image for build in image_builds(SETTINGS, "inf2")} == {"bias", "job", "train"}
    bias = SETTINGS.bias.model_copy(update={"backend": "clarify"})
    clarify = SETTINGS.model_copy(update={"bias": bias})
    assert "bias" not in {build.image for build in image_builds(clarify, "cpu")}


def test_a_pinned_digest_names_the_image_and_is_another_tag_of_what_is_built_on_it():
    digests = {"job-cpu": f"sha256:{'1' * 64}"}
    pinned = SETTINGS.model_copy(update={"image_digests": digests})
    before = {build.image: build.tag for build in image_builds(SETTINGS, "cpu")}
    after = {build.image: build.tag for build in image_builds(pinned, "cpu")}
    assert {name for name in before if before[name] != after[name]} == {"job", "bias"}

    pinned = SETTINGS.model_copy(update={"image_digests": {"job-cpu": DIGEST}})
    assert aws_image(pinned, "job-cpu").uri.endswith(f"amazonaws.com/pytorch@{DIGEST}")
    bases = {build.image: build.base.uri for build in image_builds(pinned, "cpu")}
    assert bases["job"] == bases["bias"] == aws_image(pinned, "job-cpu").uri
    assert bases["train"].endswith("-cu133-amzn2023-sagemaker")
    pinned = SETTINGS.model_copy(update={"image_digests": {"serving-inf2": DIGEST}})
    lock = job_images(pinned, "inf2").serving.lock_environment()
    assert lock["SERVING_IMAGE"] == f"huggingface-pytorch-inference-neuronx@{DIGEST}"


def test_jobs_name_what_is_built_and_this_machine_the_version():
    images = job_images(SETTINGS, "cpu")
    named = {images.job.uri, images.train.uri, images.bias.uri, images.serving.uri}
    assert named == {build.uri for build in image_builds(SETTINGS, "cpu")}
    local = job_images(load_settings("local", folder=ROOT / "config"), "cpu")
    assert local.job.uri.rpartition(":")[2] == __version__


ROOT = Path(__file__).parents[4]
SETTINGS = load_settings("dev", folder=ROOT / "config").model_copy(
    update={
        "account": "111122223333",
        "region": "us-east-1",
        "project": "acme",
        "image_digests": {},
    }
)
TARGETS = get_args(CompileSection.model_fields["target"].annotation) or ("cpu",)
DIGEST = f"sha256:{'a' * 64}"


def in_region(region):
    return SETTINGS.model_copy(update={"region": region})


# --- the SDK that is locked: what its release says of accounts and tags -----------------------
def sdk(name, *keys):
    spec = importlib.util.find_spec("sagemaker.core")
    folder = Path(spec.submodule_search_locations[0]) / "image_uri_config"
    value = json.loads((folder / f"{name}.json").read_text())
    for key in keys:
        value = value[key]
    return value


TORCH = ("pytorch-amzn2023", "training", "versions", "2.13")
HF_TORCH = ("huggingface", "inference", "versions", "5.5.3", "pytorch2.6.0")
NEURON_TORCH = ("hyperpod-recipes-neuron", "training", "versions", "2.1.2")
HF_NEURON = ("huggingface-neuronx", "inference", "versions", "4.55.4", "pytorch2.8.0")


def hf_tag(entry, device):
    version = entry["container_version"][device]
    return f"2.6.0-transformers5.5.3-{device}-{entry['py_versions'][0]}-{version}"


IN_SDK = {
    "job-cpu": (TORCH, lambda e: f"{e['tag_prefix']}-{e['container_version']['cpu']}"),
    "job-gpu": (TORCH, lambda e: f"{e['tag_prefix']}-{e['container_version']['gpu']}"),
    # The SDK knows accounts and repository; of tags it has one of 2024.
    "job-neuron": (NEURON_TORCH, lambda _: image_map().images["job-neuron"].tag),
    "serving-cpu": (HF_TORCH, lambda e: hf_tag(e, "cpu")),
    "serving-gpu": (HF_TORCH, lambda e: hf_tag(e, "gpu")),
    "serving-gpu-vllm": (
        ("vllm", "inference", "versions", "0.30.0"),
        lambda e: f"{e['tag_prefix']}-gpu-{e['py_versions'][0]}-{e['container_version']['gpu']}",
    ),
    "serving-inf2": (
        HF_NEURON,
        lambda e: (
            f"2.8.0-transformers4.55.4-neuronx-{e['py_versions'][0]}-{e['sdk_versions'][0]}"
            f"-{e['container_version']['inf']}"
        ),
    ),
    "clarify": (("clarify", "processing", "versions", "1.0"), lambda _: "1.0"),
}


@cache
def commercial():
    from botocore.loaders import Loader

    return set(Loader().load_data("endpoints")["partitions"][0]["regions"])


@pytest.mark.parametrize("name", get_args(ImageName))
def test_the_sdk_knows_the_same_accounts_repository_and_tag(name):
    keys, tag = IN_SDK[name]
    entry, pin = sdk(*keys), image_map().images[name]
    accounts = {region: a for region, a in entry["registries"].items() if region in commercial()}
    assert image_map().regions(name) == accounts
    assert (pin.repository, pin.tag) == (entry["repository"], tag(entry))


def test_the_map_has_every_image_and_names_a_source_of_each():
    assert set(image_map().images) == set(get_args(ImageName))
    for pin in image_map().images.values():
        ours = ("https://github.com/aws/", "https://github.com/aws-neuron/", "sagemaker ")
        assert all(source.startswith(ours) for source in pin.sources)


def test_the_families_that_an_image_does_not_run_on_are_sagemakers():
    from botocore.loaders import Loader

    shapes = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    families = {name.split(".")[1] for name in shapes["TrainingInstanceType"]["enum"]}
    assert set(image_map().images["job-gpu"].not_on) < families
    assert set(image_map().images["job-neuron"].only_on) < families


# --- regions -------------------------------------------------------------------------------------
def accepted_regions():
    """Those that a deploy accepts."""
    from sashiko_cdk.deployment import regions  # the CDK starts a process

    return regions()


@pytest.mark.parametrize("name", ["job-cpu", "job-gpu"])
def test_the_job_images_can_be_built_in_every_region_that_a_deploy_accepts(name):
    for region in accepted_regions():
        assert f".dkr.ecr.{region}.amazonaws.com/pytorch:" in aws_image(in_region(region), name).uri


@pytest.mark.parametrize(
    "name", ["job-neuron", "serving-cpu", "serving-gpu", "serving-inf2", "clarify"]
)
def test_a_region_without_the_image_is_an_error_that_names_those_with_it(name):
    having = image_map().regions(name)
    missing = sorted(set(accepted_regions()) - set(having))
    assert missing
    for region in missing:
        with pytest.raises(InputError) as error:
            aws_image(in_region(region), name)
        for part in ("config/", "key `region`", name, region, *having):
            assert part in str(error.value)


def test_an_unknown_image_or_target_is_an_error_that_names_the_known_ones():
    with pytest.raises(InputError, match=r"images.yaml: key `images`: no image `tpu`; known: job-"):
        aws_image(SETTINGS, "tpu")
    with pytest.raises(InputError, match=r"no `abacus` among sashiko\.targets; allowed: cpu, gpu"):
        job_images(SETTINGS, "abacus")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("registry: clarify", "registry: clarity", "no registry `clarity`; known: clarify, deep"),
        (
            "    regions: [\n      af",
            "    regions: [\n      xx-west-1, af",
            "no account in xx-west-1",
        ),
        ("digest: null", "digest: sha256:12", "`images.job-cpu.digest`"),
        ('"763104351884"', '"7631"', "`registries.deep-learning-containers.accounts"),
        ("builds: [train]", "builds: [trein]", "key `images.job-gpu.builds.0`"),
    ],
)
def test_a_mistake_in_the_map_names_file_and_key(tmp_path, old, new, says):
    text = MAP_FILE.read_text()
    assert old in text
    (tmp_path / "map.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError) as error:
        read_image_map(tmp_path / "map.yaml")
    assert "map.yaml" in str(error.value)
    assert says in str(error.value)


# --- recipes, definition and compile lock --------------------------------------------------------
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_of_a_recipe_has_a_serving_image(target):
    assert job_images(SETTINGS, target).serving.uri


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_target_of_a_recipe_in_the_repository_has_one(path):
    assert job_images(SETTINGS, load_recipe(path).compile.target).serving.uri


def test_for_inferentia_the_lock_gets_image_sdk_and_compiler_of_the_map():
    serving, pin = job_images(SETTINGS, "inf2").serving, image_map().images["serving-inf2"]
    assert serving.lock_environment() == {
        "SERVING_IMAGE": f"{pin.repository}:{pin.tag}",
        "NEURON_SDK": pin.neuron.sdk,
        "NEURON_COMPILER": pin.neuron.compiler,
    }
    assert f"sdk{pin.neuron.sdk}-" in pin.tag
    written = (ROOT / "src/sashiko/serving/container/compile_model.py").read_text()
    for variable in serving.lock_environment():
        assert f'"{variable}"' in written


def test_compile_has_the_lock_of_the_image_that_will_serve():
    golden = json.loads((ROOT / "tests/golden/complaints.definition.json").read_text())
    steps = {step["Name"]: step["Arguments"] for step in golden["Steps"]}
    compile_ = steps["Compile-Score-Evaluate"]
    names = {"project": "sashiko", "environment": "local", "tier": "local"}
    images = job_images(SETTINGS.model_copy(update=names), "cpu")
    assert compile_["AppSpecification"]["ImageUri"] == images.compile.uri == images.job.uri
    assert images.serving.lock_environment().items() <= compile_["Environment"].items()


@pytest.mark.parametrize("target", ["gpu", "inf2"])
def test_for_an_accelerator_the_serving_image_itself_compiles_as_aws_made_it(target):
    images = job_images(SETTINGS, target)
    assert images.compile == images.serving
    assert images.serving.uri == aws_image(SETTINGS, f"serving-{target}").uri
    assert {build.image for build in image_builds(SETTINGS, target)} == {"job", "bias", "train"}


def test_neuron_packages_of_the_map_are_those_that_the_code_was_written_against():
    optimum = image_map().images["serving-inf2"].packages["optimum-neuron"]
    for name in ("export_neuron.py", "neuron_backend.py"):
        written = (ROOT / "src/sashiko/serving/container" / name).read_text()
        assert set(re.findall(r"optimum-neuron\s+(\d\S*\d)", written)) == {optimum}


def on(instance):
    training = SETTINGS.jobs.training.model_copy(update={"instance_type": instance})
    jobs = SETTINGS.jobs.model_copy(update={"training": training})
    return SETTINGS.model_copy(update={"jobs": jobs})


@pytest.mark.parametrize("instance", ["ml.trn1.2xlarge", "ml.trn2.48xlarge"])
def test_on_trainium_the_training_image_alone_is_built_from_neurons(instance):
    builds, usual = (image_builds(settings, "cpu") for settings in (on(instance), SETTINGS))
    bases = {build.image: (build.base.name, build.target) for build in builds}
    assert bases["train"] == ("job-neuron", "train-neuron")
    assert [build for build in builds if build.image != "train"] == [
        build for build in usual if build.image != "train"
    ]
    images = job_images(on(instance), "cpu")
    assert images.train.uri in {build.uri for build in builds}
    assert images.train.uri != job_images(SETTINGS, "cpu").train.uri


@pytest.mark.parametrize("instance", ["ml.p3.2xlarge", "ml.p6e-gb200.36xlarge"])
def test_an_instance_type_that_the_training_image_does_not_run_on_is_refused(instance):
    with pytest.raises(InputError) as error:
        job_images(on(instance), "cpu")
    for part in ("config/", "`jobs.training.instance_type`", instance, "ml.g5.xlarge"):
        assert part in str(error.value)


def test_clarify_stands_in_for_the_bias_image_in_an_account_and_not_here():
    settings = SETTINGS.model_copy(update={"bias": BiasSection(backend="clarify")})
    assert job_images(settings, "cpu").bias.uri == aws_image(SETTINGS, "clarify").uri
    with pytest.raises(InputError, match=r"key `bias.backend`: `clarify` is an image of AWS"):
        job_images(settings.model_copy(update={"tier": "local"}), "cpu")
