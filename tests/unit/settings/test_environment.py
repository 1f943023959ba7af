"""An environment's settings: validation and serialisation."""

import json
import shutil
from pathlib import Path
from typing import Any, get_args

import pytest

from sashiko.account.names import Bucket, CoreRole, bucket_name, role_name, trusted_signing_aliases
from sashiko.base.yaml_models import validate
from sashiko.errors import InputError
from sashiko.packs import enabled_packs
from sashiko.settings.environment import (
    Settings,
    deployed_environments,
    environment_names,
    load_deployed,
    load_settings,
    neighbour_settings,
    settings_model,
)
from tests.infra.variants import FROM_DEV, ROOT, TO_PROD


@pytest.mark.parametrize("environment", ["local", "dev", "prod"])
def test_settings_written_as_json_are_read_again_as_the_same(environment):
    settings = load_settings(environment)
    assert type(settings).model_validate(json.loads(settings.model_dump_json())) == settings


def _folder(folder: Path, **files: str) -> Path:
    shutil.copy(Path("config/base.yaml"), folder)
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(f'account: "111122223333"\n{text}\n')
    return folder


def test_an_environment_is_a_file(tmp_path):
    folder = _folder(tmp_path, staging="tier: prod", laptop="tier: local", base2="tier: dev")
    assert environment_names(folder=folder) == ("base2", "laptop", "staging")
    assert deployed_environments(folder=folder) == ("base2", "staging")
    staging = load_settings("staging", folder=folder)
    assert (staging.environment, staging.tier) == ("staging", "prod")
    assert load_deployed("staging", folder=folder) == staging
    with pytest.raises(InputError, match=r"`tier: local` in .*laptop\.yaml.*use base2 or staging"):
        load_deployed("laptop", folder=folder)


@pytest.mark.parametrize("name", ["base", "qa", "../config/dev"])
def test_a_name_without_a_file_is_answered_with_the_files(tmp_path, name):
    folder = _folder(tmp_path, staging="tier: prod", dev="tier: dev")
    with pytest.raises(InputError, match=r"are dev\.yaml, staging\.yaml; .*--env"):
        load_settings(name, folder=folder)


@pytest.mark.parametrize("load", [load_settings, load_deployed])
@pytest.mark.parametrize("line", ["", "tier: staging"])
def test_a_file_says_its_tier_itself(tmp_path, load, line):
    """A tier in base.yaml would apply to a prod environment that does not set its own."""
    folder = _folder(tmp_path, staging=line)
    with (folder / "base.yaml").open("a") as base:
        base.write("tier: dev\n")
    with pytest.raises(InputError) as error:
        load("staging", folder=folder)
    for part in ("staging.yaml", "key `tier`", "local", "dev", "prod"):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["dev-eu", "Staging", "9lives", "devicecheck", "st.ag"])
def test_a_name_that_awss_names_or_our_policies_cannot_bear_is_refused(tmp_path, name):
    """Policies of `dev` match `<project>-dev-*`, which would include the names of `dev-eu`."""
    folder = _folder(tmp_path, **{name: "tier: dev"})
    with pytest.raises(InputError, match=rf"{name}\.yaml: key `environment`: .*rename the file"):
        load_settings(name, folder=folder)


def test_project_and_environment_together_fit_in_the_longest_name(tmp_path):
    project, region = "p" * 17, "ap-southeast-1"
    text = f"tier: dev\nproject: {project}\nregion: {region}"
    folder = _folder(tmp_path, staging=text, staging2=text)
    staging = load_settings("staging", folder=folder)
    assert max(len(bucket_name(staging, bucket)) for bucket in get_args(Bucket)) == 63
    assert max(len(role_name(staging, role)) for role in get_args(CoreRole)) <= 64
    with pytest.raises(InputError, match=r"staging2\.yaml: .* 25 characters.*room for 24"):
        load_settings("staging2", folder=folder)


PLAN = "arn:aws:sagemaker:us-east-1:111122223333:training-plan/spring"


def _with_training(tier: str = "dev", **changes: Any) -> Settings:
    value = json.loads(load_settings("dev").model_dump_json())
    value["jobs"]["training"] |= {"instance_type": "ml.p5.48xlarge", "spot": None, **changes}
    value |= {"account": "111122223333", "region": "us-east-1", "tier": tier}
    return validate(settings_model(enabled_packs()), value, source="config/dev.yaml")


def test_a_training_plan_is_taken_and_a_spot_job_ends_no_sooner_than_its_run():
    assert _with_training(training_plan=PLAN).jobs.training.training_plan == PLAN
    # base.yaml may name the account's plan: on this machine it means nothing.
    elsewhere = PLAN.replace("1111", "2222")
    assert _with_training(tier="local", training_plan=elsewhere).jobs.training.training_plan

    spot = _with_spot("4h").jobs.training.spot
    assert spot is not None
    assert spot.max_wait == 4 * 3600
    with pytest.raises(
        InputError, match=r"jobs\.training`: `spot\.max_wait` \(10800s\) is shorter"
    ):
        _with_spot("3h")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spot": {"max_wait": "12h"}}, "`training_plan` and `spot` .* exclude each other"),
        ({"instance_type": "ml.g5.xlarge"}, "no training plan reserves ml.g5.xlarge.*ml.p5.48x"),
        ({"training_plan": "spring"}, r"training_plan`.*training-plan/"),
        ({"training_plan": PLAN.replace("east", "west")}, "not a plan of the environment's acc"),
        ({"training_plan": PLAN.replace("1111", "2222")}, "111122223333 in us-east-1: `aws sage"),
    ],
)
def test_a_training_plan_that_no_job_can_use_is_refused(changes, message):
    with pytest.raises(InputError, match=f"(?s)config/dev.yaml: key `jobs.*{message}"):
        _with_training(**{"training_plan": PLAN, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fallback_instance_types": ["ml.p5.48xlarge"]}, "names a type twice"),
        ({"fallback_instance_types": ["ml.p6.48xlarge"]}, "no such instance type"),
        ({"keep_alive": "2h"}, "keep_alive.* 3600"),
        ({"keep_alive": "30m", "spot": {"max_wait": "12h"}}, "`spot` excludes"),
    ],
)
def test_capacity_that_sagemaker_does_not_give_is_refused(changes, message):
    with pytest.raises(InputError, match=f"(?s)config/dev.yaml: key `jobs.*{message}"):
        _with_training(**changes)


def _with_spot(wait: str) -> Settings:
    value = json.loads(load_settings("dev").model_dump_json())
    value["jobs"]["training"] |= {"spot": {"max_wait": wait}, "max_runtime": "4h"}
    return validate(settings_model(enabled_packs()), value, source="config/dev.yaml")


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ("[]", "at least 1"),
        ("[2, 1]", "rising order, each once: the last one's key signs"),
        ("[1, 1]", "rising order, each once"),
        ("[0]", "greater than or equal to 1"),
        ("[2027]", "less than or equal to 20"),
    ],
)
def test_signing_keys_are_few_numbers_that_rise(tmp_path, numbers, message):
    folder = _folder(tmp_path, dev=f"tier: dev\nsigning_keys: {numbers}")
    with pytest.raises(InputError, match=rf"dev\.yaml: key `signing_keys.*{message}"):
        load_settings("dev", folder=folder)


@pytest.mark.parametrize(
    ("numbers", "aliases"),
    [
        ((1,), ["signing"]),
        ((1, 2), ["signing", "signing-1"]),
        ((2, 3, 5), ["signing", "signing-3", "signing-2"]),
        ((5,), ["signing"]),
    ],
)
def test_a_signature_is_tried_with_the_newest_key_first(numbers, aliases):
    settings = load_settings("dev").model_copy(update={"signing_keys": numbers})
    own = f"alias/{settings.project}-dev-"
    assert [name.removeprefix(own) for name in trusted_signing_aliases(settings)] == aliases


DEV = 'tier: dev\naccount: "111122223333"\n'
PROD = 'tier: prod\naccount: "444455556666"\n'


def _pair(folder: Path, *, dev: str = DEV + TO_PROD, prod: str = PROD + FROM_DEV) -> Path:
    shutil.copy(ROOT / "config/base.yaml", folder)
    (folder / "dev.yaml").write_text(dev)
    (folder / "prod.yaml").write_text(prod)
    return folder


def test_each_environment_finds_the_other_in_one_account_too_and_never_itself(tmp_path):
    folder = _pair(tmp_path)
    dev, prod = (load_settings(name, folder=folder) for name in ("dev", "prod"))
    assert neighbour_settings(dev, "target", folder=folder) == prod
    assert neighbour_settings(prod, "source", folder=folder) == dev
    assert neighbour_settings(dev, "source", folder=folder) is None

    dev = DEV + TO_PROD.replace("444455556666", "111122223333")
    prod = PROD.replace("444455556666", "111122223333") + FROM_DEV
    folder = _pair(tmp_path, dev=dev, prod=prod)
    source = neighbour_settings(load_settings("prod", folder=folder), "source", folder=folder)
    assert source is not None
    assert (source.environment, source.account) == ("dev", "111122223333")

    itself = FROM_DEV.replace("environment: dev", "environment: prod")
    folder = _pair(tmp_path, prod=PROD + itself)
    with pytest.raises(InputError, match=r"prod\.yaml: key `promotion`: `prod` is this file's own"):
        load_settings("prod", folder=folder)


def test_a_third_one_may_stand_between_the_two(tmp_path):
    staging = DEV.replace("dev", "prod") + (
        'promotion: {source: {environment: dev, account: "111122223333"}, '
        'target: {environment: prod, account: "444455556666"}}\n'
    )
    dev = DEV + TO_PROD.replace("prod", "staging").replace("444455556666", "111122223333")
    folder = _pair(tmp_path, dev=dev, prod=PROD + FROM_DEV.replace("dev", "staging"))
    (folder / "staging.yaml").write_text(staging)
    settings = load_settings("staging", folder=folder)
    for side, name in (("source", "dev"), ("target", "prod")):
        other = neighbour_settings(settings, side, folder=folder)
        assert other is not None
        assert other.environment == name


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (
            {"dev": DEV.replace("111122223333", "999988887777") + TO_PROD},
            r"prod\.yaml: key `promotion\.source\.account`: 111122223333, but .*dev\.yaml has "
            "999988887777; set the same account",
        ),
        (
            {"dev": "project: acme\n" + DEV + TO_PROD},
            "`promotion.source`: dev has project acme, prod has sashiko",
        ),
        (
            {"dev": "region: eu-west-1\n" + DEV + TO_PROD},
            "`promotion.source`: dev has region eu-west-1, prod has us-east-1",
        ),
        (
            {"dev": DEV},
            r"dev\.yaml does not name prod in turn; set `promotion: {target: {environment: prod, "
            'account: "444455556666"}}` there',
        ),
        (
            {"dev": DEV + TO_PROD.replace("444455556666", "999988887777")},
            r"dev\.yaml does not name prod in turn",
        ),
    ],
)
def test_two_files_that_differ_are_refused(tmp_path, files, why):
    folder = _pair(tmp_path, **files)
    prod = load_settings("prod", folder=folder)
    with pytest.raises(InputError, match=why):
        neighbour_settings(prod, "source", folder=folder)


@pytest.mark.parametrize(("name", "why"), [("laptop", "this machine"), ("qa", "unknown")])
def test_only_an_environment_with_an_account_is_promoted_from(tmp_path, name, why):
    other = FROM_DEV.replace("environment: dev", f"environment: {name}")
    folder = _pair(tmp_path, prod=PROD + other)
    (folder / "laptop.yaml").write_text(DEV.replace("tier: dev", "tier: local"))
    prod = load_settings("prod", folder=folder)
    where = r"prod\.yaml: key `promotion\.source\.environment`: "
    with pytest.raises(InputError, match=f"{where}.*{why}"):
        neighbour_settings(prod, "source", folder=folder)
