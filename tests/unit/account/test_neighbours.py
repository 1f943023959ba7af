"""Two environments that promote to each other say the same of it, or nothing is granted."""

import shutil
from pathlib import Path

import pytest

from sashiko.errors import InputError
from sashiko.settings.environment import load_settings, neighbour_settings
from tests.infra.variants import FROM_DEV, ROOT, TO_PROD

DEV = 'tier: dev\naccount: "111122223333"\n'
PROD = 'tier: prod\naccount: "444455556666"\n'


def _folder(folder: Path, *, dev: str = DEV + TO_PROD, prod: str = PROD + FROM_DEV) -> Path:
    shutil.copy(ROOT / "config/base.yaml", folder)
    (folder / "dev.yaml").write_text(dev)
    (folder / "prod.yaml").write_text(prod)
    return folder


def test_each_finds_the_other(tmp_path):
    folder = _folder(tmp_path)
    dev, prod = (load_settings(name, folder=folder) for name in ("dev", "prod"))
    assert neighbour_settings(dev, "target", folder=folder) == prod
    assert neighbour_settings(prod, "source", folder=folder) == dev
    assert neighbour_settings(dev, "source", folder=folder) is None


def test_one_account_may_have_both(tmp_path):
    dev = DEV + TO_PROD.replace("444455556666", "111122223333")
    prod = PROD.replace("444455556666", "111122223333") + FROM_DEV
    folder = _folder(tmp_path, dev=dev, prod=prod)
    source = neighbour_settings(load_settings("prod", folder=folder), "source", folder=folder)
    assert source is not None
    assert (source.environment, source.account) == ("dev", "111122223333")


def test_a_third_one_may_stand_between_the_two(tmp_path):
    staging = DEV.replace("dev", "prod") + (
        'promotion: {source: {environment: dev, account: "111122223333"}, '
        'target: {environment: prod, account: "444455556666"}}\n'
    )
    dev = DEV + TO_PROD.replace("prod", "staging").replace("444455556666", "111122223333")
    folder = _folder(tmp_path, dev=dev, prod=PROD + FROM_DEV.replace("dev", "staging"))
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
    folder = _folder(tmp_path, **files)
    prod = load_settings("prod", folder=folder)
    with pytest.raises(InputError, match=why):
        neighbour_settings(prod, "source", folder=folder)


def test_an_environment_is_not_promoted_from_itself(tmp_path):
    itself = FROM_DEV.replace("environment: dev", "environment: prod")
    folder = _folder(tmp_path, prod=PROD + itself)
    with pytest.raises(InputError, match=r"prod\.yaml: key `promotion`: `prod` is this file's own"):
        load_settings("prod", folder=folder)


@pytest.mark.parametrize(("name", "why"), [("laptop", "this machine"), ("qa", "unknown")])
def test_only_an_environment_with_an_account_is_promoted_from(tmp_path, name, why):
    other = FROM_DEV.replace("environment: dev", f"environment: {name}")
    folder = _folder(tmp_path, prod=PROD + other)
    (folder / "laptop.yaml").write_text(DEV.replace("tier: dev", "tier: local"))
    prod = load_settings("prod", folder=folder)
    where = r"prod\.yaml: key `promotion\.source\.environment`: "
    with pytest.raises(InputError, match=f"{where}.*{why}"):
        neighbour_settings(prod, "source", folder=folder)
