"""The keys that sign versions: the first stays what it is, and another one takes its place."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sashiko.account.access.policy_evaluation import Request, allows, denies, statements
from tests.infra.variants import VARIANTS, new_app, resources, settings_of, templates_of

Template = Mapping[str, Any]
ALIAS = "alias/sashiko-prod-signing"
REGISTRAR = "arn:aws:iam::444455556666:role/sashiko-prod-registrar"
PROMOTER_OF_PROD = "arn:aws:iam::444455556666:role/sashiko-prod-promoter"
FIRST, SECOND = "SigningKey70710D41", "SigningKey2A69A3B42"


@functools.cache
def platform(variant: str, *numbers: int) -> Template:
    """A stack like the platform, with the keys of these `signing_keys` alone."""
    from sashiko_cdk.deployment import Deployment
    from sashiko_cdk.platform.signing_keys import SigningKeys
    from sashiko_cdk.stack import EnvironmentStack

    settings = settings_of(variant).model_copy(update={"signing_keys": numbers})
    app = new_app()
    bare = Deployment(settings=settings, environments=(), contracts=(), recipes=(), pipelines=())
    stack = EnvironmentStack(app, "Platform", bare, stateful=True, description="The keys")
    SigningKeys(stack, "Signing", settings=settings, removal_policy=stack.removal_policy)
    file = Path(app.synth().directory, "Platform.template.json")
    template: Template = json.loads(file.read_text())
    return template


def signing(template: Template) -> dict[str, Any]:
    """Logical id -> properties of the keys that can sign."""
    keys = resources(dict(template), "AWS::KMS::Key").items()
    return {name: key for name, key in keys if key["Properties"].get("KeyUsage") == "SIGN_VERIFY"}


def aliases(template: Template) -> dict[str, tuple[str, str]]:
    """Name of an alias of these keys -> its logical id, and that of its key."""
    return {
        alias["Properties"]["AliasName"]: (
            name,
            alias["Properties"]["TargetKeyId"]["Fn::GetAtt"][0],
        )
        for name, alias in resources(dict(template), "AWS::KMS::Alias").items()
        if "-signing" in alias["Properties"]["AliasName"]
    }


def may_sign(key: Any, role: str) -> bool:
    policy = statements(key["Properties"]["KeyPolicy"])
    request = Request(
        action="kms:Sign", resource="*", context={"aws:principalarn": role}, complete=True
    )
    return not denies([item for item in policy if "*" in item.principals], request)


def keys_of(template: Template, role: str, action: str) -> set[str]:
    """The keys on which a role may do something, by the stack's own policies on roles."""
    return {
        resource["Fn::GetAtt"][0]
        for policy in resources(dict(template), "AWS::IAM::ManagedPolicy").values()
        if policy["Properties"]["Roles"] == [f"sashiko-prod-{role}"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if action in _many(statement["Action"])
        for resource in _many(statement["Resource"])
    }


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_environment_keeps_the_key_and_the_alias_that_it_has(variant: str) -> None:
    """What an upgrade replaces by accident makes each version that was signed untrusted."""
    template = templates_of(variant)["Platform"]
    assert list(signing(template)) == [FIRST]
    assert list(aliases(template).values()) == [("SigningKeyAlias8ACFA49F", FIRST)]


def test_a_new_key_takes_the_alias_and_the_old_one_stays_as_it_is() -> None:
    before, after = platform("prod", 1), platform("prod", 1, 2)
    moved, earlier = aliases(after)[ALIAS], aliases(after)[f"{ALIAS}-1"]

    assert list(signing(after)) == [FIRST, SECOND]
    assert moved == (aliases(before)[ALIAS][0], SECOND)
    assert earlier[1] == FIRST
    old, kept = (signing(template)[FIRST] for template in (before, after))
    assert kept["DeletionPolicy"] == old["DeletionPolicy"] == "RetainExceptOnCreate"
    changed = {
        name for name in old["Properties"] if old["Properties"][name] != kept["Properties"][name]
    }
    assert changed == {"KeyPolicy"}  # CloudFormation changes it in place
    # Otherwise no alias would name the old key for a moment.
    assert earlier[0] in after["Resources"][moved[0]]["DependsOn"]


@pytest.mark.parametrize("numbers", [(1, 2), (2,), (1, 3)])
def test_nobody_signs_with_an_old_key_and_the_registrar_signs_with_the_new_one(
    numbers: tuple[int, ...],
) -> None:
    template = platform("prod", *numbers)
    *earlier, current = signing(template).values()
    assert len(earlier) == numbers[-1] - 1
    for role in (REGISTRAR, "arn:aws:iam::444455556666:root"):
        assert [key for key in earlier if may_sign(key, role)] == []
    assert may_sign(current, REGISTRAR)
    for action in ("kms:Sign", "kms:DescribeKey"):  # it asks which key the alias names
        assert keys_of(template, "registrar", action) == {list(signing(template))[-1]}
    assert not may_sign(current, "arn:aws:iam::444455556666:root")


def test_the_keys_of_the_list_verify_and_a_distrusted_one_is_kept() -> None:
    assert keys_of(platform("prod", 1, 2), "preflight", "kms:Verify") == {FIRST, SECOND}
    distrusting = platform("prod", 2)
    assert keys_of(distrusting, "preflight", "kms:Verify") == {SECOND}
    # The key and its name stay, so that it can be read, and put on the list again.
    assert signing(distrusting).keys() == signing(platform("prod", 1, 2)).keys()
    assert aliases(distrusting) == aliases(platform("prod", 1, 2))


@pytest.mark.parametrize(("numbers", "expected"), [((1, 2), [True, True]), ((2,), [False, True])])
def test_the_targets_promoter_verifies_with_the_keys_of_the_list(
    numbers: tuple[int, ...], expected: list[bool]
) -> None:
    request = Request(
        action="kms:Verify",
        resource="*",
        context={
            "aws:principalarn": PROMOTER_OF_PROD,
            "kms:messagetype": "DIGEST",
            "kms:signingalgorithm": "ECDSA_SHA_256",
            "kms:requestalias": "alias/sashiko-dev-signing-1",
        },
        complete=True,
    )
    shared = []
    for key in signing(platform("serving", *numbers)).values():
        policy = statements(key["Properties"]["KeyPolicy"])
        of_prod = [i for i in policy if i.is_for("arn:aws:iam::444455556666:root")]
        shared.append(allows(of_prod, request))
    assert shared == expected
