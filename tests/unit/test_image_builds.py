"""The images' Dockerfiles and locks: held against the map of images and what the steps import."""

import ast
import json
import re
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from sashiko.account.images.job_images import aws_image, image_builds, image_map, job_images
from sashiko.settings.environment import load_settings

ROOT = Path(__file__).parents[2]
SETTINGS = load_settings("dev", folder=ROOT / "config").model_copy(
    update={"region": "us-east-1", "image_digests": {}}
)


def dockerfile(build):
    return (ROOT / build.dockerfile).read_text()


BUILDS = image_builds(SETTINGS, "cpu")


def test_each_of_the_jobs_own_images_has_one_build_and_trainiums_says_what_computes():
    assert sorted(build.image for build in BUILDS) == ["bias", "job", "serving", "train"]
    (variables,) = re.findall(r"^ENV (.*)$", stage("train-neuron"), re.M)
    assert variables.split() == ["PJRT_DEVICE=NEURON", "NEURON_CC_FLAGS=--auto-cast=none"]


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.image)
def test_a_dockerfile_starts_from_the_maps_image_and_has_the_target(build):
    text = dockerfile(build)
    default = {"job": "job-cpu", "serving": "serving-cpu"}[Path(build.dockerfile).parent.name]
    assert re.findall(r"^ARG (\S+)$", text, re.M) == [f"BASE={aws_image(SETTINGS, default).uri}"]
    stages = re.findall(r"^FROM (\S+) AS (\S+)$", text, re.M)
    assert len(stages) == len(re.findall(r"^FROM", text, re.M))
    names = [name for _, name in stages]
    assert build.target in names
    assert {source for source, _ in stages} <= {"${BASE}", *names}


def stage(name):
    text = (ROOT / "images/job/Dockerfile").read_text()
    return re.split(rf"^FROM \S+ AS {name}$", text, flags=re.M)[1].split("\nFROM")[0]


@pytest.mark.parametrize("name", ["job", "train", "train-neuron", "bias"])
def test_an_image_runs_what_the_local_runner_runs_for_it(name):
    entrypoint = json.loads(re.search(r"^ENTRYPOINT (\[.*\])$", stage(name), re.M)[1])
    own = getattr(job_images(SETTINGS, "cpu"), name.partition("-")[0]).entrypoint
    assert tuple(entrypoint[-len(own) :]) == own
    wrapper = ["/usr/local/bin/entrypoint.sh"] if name == "train" else []
    assert entrypoint[: -len(own)] == wrapper


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.image)
def test_what_a_dockerfile_copies_is_in_the_context_and_in_the_repository(build):
    kept = [
        line[1:]
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for line in re.findall(r"^COPY (.*) \S+$", dockerfile(build), re.M):
        for source in line.split():
            assert source in kept
            assert (ROOT / source).exists()
    assert all(list(ROOT.glob(name)) for name in kept), "the context lists a file that is gone"


def locked(name):
    text = (ROOT / f"requirements/{name}.txt").read_text()
    versions = dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", text, re.M))
    assert len(versions) == len(re.findall(r"^[a-z]", text, re.M)), "a line without a version"
    return versions


@pytest.mark.parametrize("name", ["job", "serving-cpu"])
def test_the_images_locks_have_hashes_and_the_versions_of_make_run(name):
    blocks = re.split(r"\n(?=[a-z])", (ROOT / f"requirements/{name}.txt").read_text())
    assert all("--hash=sha256:" in block for block in blocks)
    run = locked("run")
    versions = locked(name)
    assert {key: run.get(key) for key in versions} == versions
    # What the base brings may not be replaced in it; AWS's packages of Neuron are not on PyPI.
    brought = {"torch", "torchvision", "torch-xla", "torch-neuronx", "neuronx-cc", "libneuronxla"}
    assert not set(versions) & brought


def test_libraries_of_images_that_work_together_are_the_same():
    assert locked("job")["onnxruntime"] == locked("serving-cpu")["onnxruntime"]
    torch = (ROOT / "requirements/torch.txt").read_text().strip()
    for name in ("job-cpu", "job-gpu"):
        assert torch == f"torch=={image_map().images[name].packages['torch']}"

    versions, pinned = locked("serving"), image_map().images["serving-inf2"].packages
    both = set(versions) & set(pinned)
    assert {"transformers", "multi-model-server"} <= both
    assert {name: versions[name] for name in both} == {name: pinned[name] for name in both}


def test_the_bases_python_is_the_one_of_their_locks_and_dockerfile():
    makefile = (ROOT / "engine.mk").read_text()
    images = re.search(r"^IMAGE_LOCK := .*--python-version (\S+)", makefile, re.M)[1]
    names = ("job-cpu", "job-gpu", "job-neuron", "serving-cpu")
    assert {image_map().images[name].python for name in names} == {images}
    assert f"/opt/sashiko/lib/python{images}/" in (ROOT / "images/job/Dockerfile").read_text()
    serving = re.search(r"--python-version (\S+) .*requirements/serving\.in", makefile)[1]
    assert image_map().images["serving-inf2"].python == serving


# --- the steps' imports ---------------------------------------------------------------------------

# The SDK of MLflow's App, a plugin that mlflow finds by itself.
PLUGINS = {"sagemaker-mlflow"}
READ_BY_TORCH = {"onnx", "onnxscript"}
BUILD, FROM_THE_BASE, WITH_BOTO3 = {"setuptools"}, {"torch"}, {"botocore"}
IN_VLLMS_SERVER = {"starlette"}  # what the artifact's file in it imports; no step does
FROM_A_FOLDER = {"pyiceberg"}  # read on a laptop before its run; in an account Athena reads


def test_mlflow_reaches_an_app_by_its_arn():
    """By the plugin: without it mlflow knows no such scheme."""
    from mlflow.tracking._tracking_service.utils import _get_store

    store = _get_store("arn:aws:sagemaker:us-east-1:111122223333:mlflow-app/app-ABCDEF123456")

    assert type(store).__module__.partition(".")[0] == "sagemaker_mlflow"


def module_file(name):
    path = ROOT / "src" / name.replace(".", "/")
    return next((p for p in (path.with_suffix(".py"), path / "__init__.py") if p.is_file()), None)


def imported(path):
    """Every module that a file names in an import, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def what_the_steps_import():
    """Follows imports from the steps, and from what compiles, to all that they may reach."""
    folders = [*ROOT.glob("src/**/steps"), ROOT / "src/sashiko/serving/container"]
    waiting = [path for folder in folders for path in folder.rglob("*.py")]
    visited, others = set(), set()
    while waiting:
        path = waiting.pop()
        if path in visited:
            continue
        visited.add(path)
        for name in imported(path):
            if not name.startswith("sashiko"):
                others.add(name.partition(".")[0])
            elif file := module_file(name):
                waiting.append(file)
    of = packages_distributions()
    distributions = [
        {re.sub("[-_.]+", "-", d.lower()) for d in of.get(name, ())} for name in others
    ]
    return [names for names in distributions if names]


def test_the_job_image_has_what_the_steps_import_and_no_more():
    lines = (ROOT / "requirements/job.in").read_text().splitlines()
    packages = {re.split("[=<> ]", line)[0] for line in lines if line[:1].isalpha()}
    elsewhere = FROM_THE_BASE | WITH_BOTO3 | IN_VLLMS_SERVER | FROM_A_FOLDER
    needed = [names for names in what_the_steps_import() if not names & elsewhere]
    assert [names for names in needed if not names & packages] == []
    assert packages - PLUGINS - BUILD - READ_BY_TORCH - set().union(*needed) == set()
    assert packages <= set(locked("job"))
