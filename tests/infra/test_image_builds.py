"""The builds of images: what they read, what they may do, and who tells CloudFormation."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sashiko.account.access.policy_evaluation import allows, denies
from sashiko.account.images.job_images import copied_files, image_builds, job_images
from sashiko.account.instances import settings_for
from sashiko.functions.image_build import CONTEXT
from sashiko.settings.recipe import load_recipe
from sashiko_cdk.platform.image_builds import recipe_builds
from tests.infra.variants import (
    all_before,
    complete_request,
    named,
    only,
    output_of,
    principals_of,
    resources,
    settings_of,
    some,
    synthesized,
    who_may,
)


@pytest.fixture(scope="session")
def platform(templates):
    return templates("dev")["Platform"]


@pytest.fixture(scope="session")
def project(platform):
    return only(platform, "AWS::CodeBuild::Project")


@pytest.fixture(scope="session")
def principals():
    """Role -> what dev's templates let it do."""
    return principals_of("dev")


def test_each_image_is_requested_by_the_tag_of_its_content(platform):
    requested = {
        r["Properties"]["Image"] for r in resources(platform, "Custom::ImageBuild").values()
    }
    assert requested == {build.uri for build in image_builds(settings_of("dev"), "cpu")}


def test_what_a_recipe_trains_on_decides_which_training_image_is_built():
    settings = settings_of("dev")
    trainium = load_recipe(
        Path("recipes/complaints.yaml"),
        overrides=("train.distributed.instance_type=ml.trn1.2xlarge",),
    )
    trained_in = job_images(settings_for(settings, trainium), "cpu").train.uri
    uris = {build.uri for build in recipe_builds(settings, [trainium])}
    assert trained_in in uris
    assert job_images(settings, "cpu").train.uri not in uris


def test_an_image_comes_after_its_repository_and_after_whoever_tells_of_its_end(platform):
    repositories = {
        item["Properties"]["RepositoryName"]: name
        for name, item in some(platform, "AWS::ECR::Repository").items()
    }
    kinds = ("AWS::CodeBuild::Project", "AWS::Events::Rule", "AWS::Lambda::Permission")
    names = {name for kind in kinds for name in resources(platform, kind)}
    tells = {name for name in names if name.startswith("Builds")}
    assert len(tells) == len(kinds)
    for name, item in some(platform, "Custom::ImageBuild").items():
        before = all_before(platform, name)
        assert {repositories[item["Properties"]["Repository"]], *tells} <= before


def test_images_are_built_one_after_the_other(platform):
    """A new account may run a single build at a time."""
    names = resources(platform, "Custom::ImageBuild")
    before = sorted(len(all_before(platform, name) & set(names)) for name in names)
    assert before == list(range(len(names)))


def test_the_source_is_what_the_dockerfiles_copy_and_nothing_else(project):
    folder = synthesized("dev")
    key = project["Source"]["Location"].rpartition("/")[2].removesuffix(".zip")
    asset = folder / f"asset.{key}"
    packed = {path.relative_to(asset).as_posix() for path in asset.rglob("*") if path.is_file()}
    files = {build.dockerfile for build in image_builds(settings_of("dev"), "cpu")}
    copied = {path.as_posix() for file in files for path in copied_files(file)}
    assert packed == files | copied


def test_a_build_ends_before_cloudformation_stops_waiting(platform, project):
    longest = project["QueuedTimeoutInMinutes"] + project["TimeoutInMinutes"]
    for item in some(platform, "Custom::ImageBuild").values():
        assert longest * 60 < int(item["Properties"]["ServiceTimeout"]) <= 3_600


def test_each_way_that_a_build_ends_is_reported(platform):
    rules = named(platform, "AWS::Events::Rule", "Name")
    detail = rules["sashiko-dev-image-build-ended"]["EventPattern"]["detail"]
    # https://docs.aws.amazon.com/codebuild/latest/userguide/sample-build-notifications.html
    ends = {"FAILED", "FAULT", "STOPPED", "SUCCEEDED", "TIMED_OUT"}
    assert set(detail["build-status"]) == ends
    assert detail["project-name"] == ["sashiko-dev-image-build"]


def test_the_build_pulls_by_the_base_that_it_is_given_and_pushes_its_tag(project):
    text = json.dumps(json.loads(project["Source"]["BuildSpec"]))
    base = '--build-arg BASE=\\"$BASE_NAME@$BASE_DIGEST\\"'
    for part in (base, '--target \\"$TARGET\\"', 'push \\"$IMAGE\\"'):
        assert part in text
    assert project["Environment"]["PrivilegedMode"] is True
    assert "VpcConfig" not in project


@pytest.mark.parametrize("version", [":2.13-cpu", f"@sha256:{'d' * 64}"])
def test_the_base_is_built_from_and_stated_by_its_digest(project, tmp_path, version):
    """AWS may move the tag at any time: the statement names what the build really took."""
    spec = json.loads(project["Source"]["BuildSpec"])
    assert spec["env"]["exported-variables"] == ["BASE_DIGEST", "SOURCE_HASH"]
    aws = tmp_path / "aws"
    aws.write_text(f'#!/bin/sh\necho "$*" >> "$0.calls"; echo sha256:{"d" * 64}\n')
    aws.chmod(0o755)
    name = "763104351884.dkr.ecr.us-east-1.amazonaws.com/a/pytorch"
    (command,) = [c for c in spec["phases"]["pre_build"]["commands"] if "BASE_DIGEST" in c]
    printed = subprocess.run(
        ["bash", "-c", f'{command} && echo "$BASE_NAME@$BASE_DIGEST"'],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "BASE": f"{name}{version}"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert printed == f"{name}@sha256:{'d' * 64}\n"
    if version.startswith(":"):
        call = (tmp_path / "aws.calls").read_text()
        assert "--registry-id 763104351884 --repository-name a/pytorch" in call
        assert "imageTag=2.13-cpu" in call


def test_without_an_index_of_ones_own_a_build_gets_no_token(project, principals):
    assert "codeartifact" not in project["Source"]["BuildSpec"]
    assert "--secret" not in project["Source"]["BuildSpec"]
    assert not principals["image-build"].may("codeartifact:GetAuthorizationToken", "*")


def test_packages_come_from_the_index_that_is_set_and_the_token_stays_out_of_the_image(
    templates, tmp_path
):
    project = only(templates("prod")["Platform"], "AWS::CodeBuild::Project")
    phases = json.loads(project["Source"]["BuildSpec"])["phases"]
    aws = tmp_path / "aws"
    aws.write_text('#!/bin/sh\nprintf "%s\\n" "$*" >> "$0.calls"; echo t0ken\n')
    aws.chmod(0o755)
    command, _, file = phases["pre_build"]["commands"][-1].rpartition(" ")
    subprocess.run(
        ["bash", "-c", f"PATH={tmp_path}:$PATH; {command} {tmp_path}/pip.conf"], check=True
    )

    assert (tmp_path / "aws.calls").read_text() == (
        "codeartifact get-authorization-token --domain acme --domain-owner 666677778888 "
        "--query authorizationToken --output text\n"
    )
    assert (tmp_path / "pip.conf").read_text() == (
        "[global]\nindex-url = https://aws:t0ken@acme-666677778888.d.codeartifact.us-east-1."
        "amazonaws.com/pypi/python/simple/\n"
    )
    assert f"docker build --secret id=pip,src={file} " in phases["build"]["commands"][0]
    for build in image_builds(settings_of("prod"), "cpu"):
        text = Path(build.dockerfile).read_text().replace("\\\n", "")
        installs = [line for line in text.splitlines() if "pip install" in line]
        assert installs
        for line in installs:
            mount = "RUN --mount=type=secret,id=pip,target=/etc/pip.conf "
            assert line.startswith(mount) or "--no-index" in line


def test_a_build_reads_its_index_and_no_other():
    build = principals_of("prod")["image-build"]
    place = "arn:aws:codeartifact:us-east-1:666677778888"
    assert build.may("codeartifact:GetAuthorizationToken", f"{place}:domain/acme")
    assert build.may("codeartifact:ReadFromRepository", f"{place}:repository/acme/python")
    assert not build.may("codeartifact:ReadFromRepository", f"{place}:repository/acme/npm")
    assert not build.may("codeartifact:PublishPackageVersion", "*")


def test_a_build_pushes_to_the_own_repositories_alone(principals):
    build, own = principals["image-build"], "arn:aws:ecr:us-east-1:111122223333:repository"
    aws = "arn:aws:ecr:us-east-1:763104351884:repository/pytorch"
    assert build.may("ecr:PutImage", f"{own}/sashiko-dev/job")
    assert build.may("ecr:BatchGetImage", aws)
    for other in (aws, f"{own}/sashiko-prod/job", f"{own}/others"):
        assert not build.may("ecr:PutImage", other)
    for action in ("s3:PutObject", "sagemaker:CreateModelPackage", "iam:PassRole", "kms:Sign"):
        assert not build.may(action, "*")


def test_the_function_starts_builds_of_its_environment_and_no_more(principals):
    starter, place = principals["image-build-starter"], "arn:aws:codebuild:us-east-1:111122223333"
    assert starter.may("codebuild:StartBuild", f"{place}:project/sashiko-dev-image-build")
    assert not starter.may("codebuild:StartBuild", f"{place}:project/sashiko-prod-image-build")
    for action in ("ecr:PutImage", "iam:PassRole", "lambda:InvokeFunction"):
        assert not starter.may(action, "*")
    bucket = "arn:aws:s3:::sashiko-dev-artifacts-111122223333-us-east-1"
    for action in ("s3:GetObject", "s3:PutObject"):
        assert starter.may(action, f"{bucket}/provenance/images/job/1.json")
        assert not starter.may(action, f"{bucket}/models/group/1/provenance.json")
    assert not starter.may("kms:Sign", "*")


@pytest.mark.parametrize(
    "member", ["source.buildspec", "environment.image", "environment.privilegedmode", "servicerole"]
)
def test_whoever_changes_the_function_starts_no_build_with_other_commands(principals, member):
    starter = principals["image-build-starter"]
    plain = starter.request(
        "codebuild:StartBuild",
        "arn:aws:codebuild:us-east-1:111122223333:project/sashiko-dev-image-build",
    )
    context = {**plain.context, "aws:requestedregion": "us-east-1"}
    assert starter.within(replace(plain, context=context, complete=True))
    overridden = {**context, f"codebuild:{member}": "true"}
    assert not starter.within(replace(plain, context=overridden, complete=True))


def test_what_answers_cloudformation_is_read_by_the_function_alone(platform, principals):
    """A build's variables are no secret to who may look at builds; the request in them is."""
    waits = {f"kms:encryptioncontext:{CONTEXT}": "sashiko-dev-image-build"}
    (key,) = [
        resource
        for item in principals["image-build-starter"].policy
        if "kms:Encrypt" in item.actions
        for resource in item.resources
    ]

    def opens(role, context):
        request = complete_request("kms:Decrypt", key, context)
        return allows(role.policy, request) and not denies(role.policy, request)

    assert [name for name, role in principals.items() if opens(role, waits)] == [
        "image-build-starter"
    ]
    assert not opens(principals["image-build-starter"], {})
    assert who_may("dev", "codebuild:BatchGetBuilds") == {"image-build-starter"}
    (own,) = [name for name in resources(platform, "AWS::KMS::Key") if name.startswith("Key")]
    for item in resources(platform, "Custom::ImageBuild").values():
        assert item["Properties"]["Key"] == {"Fn::GetAtt": [own, "Arn"]}


def test_nobody_else_pushes_an_image():
    assert who_may("dev", "ecr:PutImage") == {"image-build"}


@pytest.mark.control("Lambda.1, Lambda.2")
def test_functions_are_called_by_this_accounts_rules_alone_and_run_on_a_supported_python(platform):
    for item in some(platform, "AWS::Lambda::Function").values():
        assert item["Properties"]["Runtime"] == "python3.12"
        assert "Environment" not in item["Properties"]
    rules = {
        str({"Fn::GetAtt": [name, "Arn"]}) for name in resources(platform, "AWS::Events::Rule")
    }
    permissions = resources(platform, "AWS::Lambda::Permission").values()
    assert len(permissions) == 2
    for item in permissions:
        assert item["Properties"]["Principal"] == "events.amazonaws.com"
        assert item["Properties"]["SourceAccount"] == "111122223333"
        assert str(item["Properties"]["SourceArn"]) in rules


@pytest.mark.skipif(sys.platform != "linux", reason="CodeBuild has GNU's find, and runs it")
def test_a_source_that_was_overwritten_is_not_built(project, tmp_path):
    """The bucket of assets lets who may publish write over what is there."""
    spec = json.loads(project["Source"]["BuildSpec"])
    (check,) = spec["phases"]["install"]["commands"]
    staged = json.loads((synthesized("dev") / "Platform.assets.json").read_text())["files"]
    location = json.dumps(project["Source"]["Location"])
    (name,) = [hash_ for hash_ in staged if hash_ in location]
    copy = tmp_path / "source"
    shutil.copytree(synthesized("dev") / staged[name]["source"]["path"], copy, symlinks=True)

    def run():
        return output_of(["bash", "-c", check], cwd=copy)

    assert run().returncode == 0

    with (copy / "images/job/Dockerfile").open("a") as file:
        file.write("RUN true\n")
    changed = run()
    assert changed.returncode == 1
    assert "not the one that was deployed" in changed.stdout
