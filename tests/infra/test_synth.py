"""`cdk synth` is pure, and says what is wrong with its input in one message."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sashiko_cdk.functions import python_function
from tests.e2e.test_fork import RECIPE
from tests.infra.variants import output_of
from tests.project_root import IMAGES
from tests.unit.contract.documents import document

ROOT = Path.cwd()  # tests/conftest.py: with the samples
NOWHERE = "http://127.0.0.1:9"
PROGRESS = "building the definition of pipelines/"


@pytest.fixture
def project(tmp_path):
    """A copy of what synth reads, with the shipped configuration."""
    return _copy(tmp_path / "one")


def _copy(folder):
    for name in ("config", "contracts", "pipelines", "recipes"):
        shutil.copytree(ROOT / name, folder / name)
    for name in IMAGES:
        (folder / name).symlink_to(ROOT / name)
    return folder


def _off_line():
    """Begins a command in a network of its own, with nothing in it, where the kernel lets us."""
    command = ["unshare", "--map-root-user", "--net"]
    allowed = shutil.which("unshare") and subprocess.run([*command, "true"], check=False)
    return command if allowed and allowed.returncode == 0 else []


def _synth(folder, *, environment="dev", command_prefix=(), **variables):
    """Synthesizes without credentials; every proxy leads nowhere."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE)
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    return output_of(
        [*command_prefix, sys.executable, "-m", "infra.app"],
        cwd=folder,
        env=environ
        | proxies
        | {"PYTHONPATH": f"{ROOT}:{ROOT}/src", "CDK_OUTDIR": str(folder / "out")}
        | {"CDK_CONTEXT_JSON": json.dumps(context | {"env": environment})}
        | variables,
    )


@pytest.mark.slow  # two synths more
def test_the_same_commit_gives_the_same_bytes(project, tmp_path):
    other = _copy(tmp_path / "another" / "folder")
    for file in (path for path in other.rglob("*") if path.is_file()):
        os.utime(file, (1_000_000_000, 1_000_000_000))
    first = _synth(project, TZ="UTC", PYTHONHASHSEED="1")
    other_place = {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "2", "AWS_REGION": "eu-west-1"}
    second = _synth(other, command_prefix=_off_line(), **other_place)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    written = {file.name: file.read_bytes() for file in (project / "out").glob("*.template.json")}
    rewritten = {file.name: file.read_bytes() for file in (other / "out").glob("*.template.json")}
    assert len(written) >= 2
    assert written == rewritten


@pytest.mark.slow
def test_another_environment_may_follow_in_the_same_folder(project):
    """`make synth` and then `make synth ENV=prod`: what the first left is not read as prod's."""
    for environment in ("dev", "prod"):
        done = _synth(project, environment=environment)
        assert done.returncode == 0, done.stderr
    policies = json.loads((project / "out/bootstrap/manifest.json").read_text())["artifacts"]
    assert {item["environment"] for item in policies.values() if "environment" in item} == {
        "aws://444455556666/us-east-1"
    }


def _edit(folder, file, old, new):
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def _region(folder, region, *, unpriced=False):
    _edit(folder, "config/base.yaml", "region: us-east-1", f"region: {region}")
    if unpriced and "max_usd: 10 " in (base := folder / "config/base.yaml").read_text():
        base.write_text(base.read_text().replace("max_usd: 10 ", "max_usd: null "))


def _account_stack_twice(folder):
    shutil.copy(folder / "contracts/census.odcs.yaml", folder / "contracts/again.odcs.yaml")
    _edit(folder, "config/base.yaml", "[complaints, census]", "[census, again]")


BAD = {
    "region AWS lacks": (
        lambda folder: _region(folder, "us-east-9"),
        ["config/base.yaml: key `region`: AWS has no region us-east-9", "us-west-2"],
    ),
    "region without the prefix list": (
        lambda folder: _region(folder, "eu-west-1", unpriced=True),
        ["config/dev.yaml", "`network.s3_prefix_lists`", "describe-managed-prefix-lists"],
    ),
    "another partition": (
        lambda folder: _region(folder, "cn-north-1"),
        ["config/base.yaml: key `region`", "cn-north-1", "allowed: "],
    ),
    "project that S3 refuses": (
        lambda folder: _edit(folder, "config/base.yaml", "project: sashiko", "project: sthree-x"),
        ["config/base.yaml", "`project`", "S3 refuses", "sthree-"],
    ),
    "project in capitals": (
        lambda folder: _edit(folder, "config/base.yaml", "project: sashiko", "project: Sashiko"),
        ["config/base.yaml: key `project`: lower-case letters, digits and `-`"],
    ),
    "missing contract": (
        lambda folder: _edit(folder, "config/base.yaml", "complaints, census", "complaint"),
        [
            "config/base.yaml: key `contracts`",
            "contracts/complaint.odcs.yaml does not exist; in config/dev.yaml name those",
            "`contracts: [census, complaints",
        ],
    ),
    "one table twice": (
        _account_stack_twice,
        [
            "census.odcs.yaml",
            "again.odcs.yaml",
            "table `census`: 2 contracts of this environment",
            "take one out of the key `contracts`",
        ],
    ),
}


# The settings' own tests read each message; these show that synth says it, once, and ends.
EACH_TIME = ("missing contract",)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in EACH_TIME else pytest.mark.slow) for name in BAD],
)
def test_bad_input_is_one_message(project, name):
    spoil, words = BAD[name]
    spoil(project)
    process = _synth(project)
    assert process.returncode == 1
    lines = process.stderr.splitlines()
    assert next(line for line in lines if not line.startswith(PROGRESS)).startswith("error: ")
    assert "Traceback" not in process.stderr
    assert [word for word in words if word not in process.stderr] == []


@pytest.mark.parametrize("environment", ["moon", pytest.param("local", marks=pytest.mark.slow)])
def test_an_environment_without_stacks_is_refused(project, environment):
    process = _synth(project, environment=environment)
    assert process.returncode == 1
    assert process.stderr.startswith("error: ")
    assert environment in process.stderr and "prod" in process.stderr
    assert "config/moon.yaml" in process.stderr or environment == "local"


@pytest.mark.slow
def test_a_region_without_a_service_is_refused(project):
    """By botocore's own data, in a folder that it reads before the one that ships with it."""
    from botocore.loaders import Loader

    data = Loader().load_data("endpoints")
    del data["partitions"][0]["services"]["lakeformation"]["endpoints"]["us-east-1"]
    models = project / ".aws/models"
    models.mkdir(parents=True)
    (models / "endpoints.json").write_text(json.dumps(data))
    process = _synth(project, HOME=str(project))
    assert process.returncode == 1
    message = "error: config/base.yaml: key `region`: us-east-1 has no Lake Formation; allowed: "
    assert process.stderr.startswith(message)
    assert "Traceback" not in process.stderr


@pytest.mark.slow
def test_a_project_of_another_name_without_the_samples_synthesizes(project):
    """A team deletes the samples and renames the project, as docs/upgrade.md says."""
    for file in [*project.glob("contracts/*.yaml"), *project.glob("recipes/*.yaml")]:
        file.unlink()
    (project / "contracts/loans.odcs.yaml").write_text(yaml.safe_dump(document()))
    shutil.copytree(ROOT / "recipes/models", project / "recipes/models", dirs_exist_ok=True)
    recipe = RECIPE | {"name": "loans", "contract": "contracts/loans.odcs.yaml"}
    (project / "recipes/loans.yaml").write_text(yaml.safe_dump(recipe))
    (project / "config/dev.yaml").write_text(
        "{tier: dev, project: acme, qualifier: acme, recipe: loans, contracts: [loans], "
        "account: '111122223333'}"
    )

    process = _synth(project)

    assert process.returncode == 0, process.stderr
    templates = {file.name: file.read_text() for file in (project / "out").glob("*.template.json")}
    assert any("acme-dev-broker" in text for text in templates.values())
    assert [name for name, text in templates.items() if "sashiko-dev" in text] == []
    assert [name for name, text in templates.items() if "cdk-sashiko-" in text] == []
    assert any("cdk-acme-boundary" in text for text in templates.values())


def _shipped(folder, module):
    python_function.write_code(module, folder)
    return {str(path.relative_to(folder)) for path in folder.rglob("*.py")}


def test_a_function_has_its_module_and_its_packages(tmp_path):
    assert _shipped(tmp_path, "sashiko.base.custom_resource") == {
        "sashiko/__init__.py",
        "sashiko/base/__init__.py",
        "sashiko/base/custom_resource.py",
    }


def test_the_janitor_deletes_as_the_check_itself_does(tmp_path):
    assert _shipped(tmp_path, "sashiko.functions.janitor_handler") == {
        "sashiko/__init__.py",
        "sashiko/base/__init__.py",
        "sashiko/steps/__init__.py",
        "sashiko/steps/device/__init__.py",
        "sashiko/steps/device/removal.py",
        "sashiko/base/function_input.py",
        "sashiko/functions/__init__.py",
        "sashiko/functions/janitor_handler.py",
    }


def test_what_a_module_imports_of_ours_comes_along(tmp_path, monkeypatch):
    source = tmp_path / "src/sashiko"
    source.mkdir(parents=True)
    for name, text in {
        "__init__": "",
        "one": "from sashiko.two import thing\n",
        "two": "import json\nimport boto3\n\nthing = 1\n",
        "three": "import yaml\n",
    }.items():
        (source / f"{name}.py").write_text(text)
    monkeypatch.setattr(python_function, "_SOURCE", tmp_path / "src")

    assert _shipped(tmp_path / "one", "sashiko.one") == {
        "sashiko/__init__.py",
        "sashiko/one.py",
        "sashiko/two.py",
    }
    with pytest.raises(ValueError, match=r"three\.py: a Lambda function can't import `yaml`"):
        python_function.write_code("sashiko.three", tmp_path / "three")
