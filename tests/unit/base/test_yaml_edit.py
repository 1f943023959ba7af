"""A value of a YAML file changes, and no other character."""

from pathlib import Path

import pytest

from sashiko.base.yaml_models import set_in_section
from sashiko.base.yaml_text import YamlError, parse_yaml

ARN = "arn:aws:sagemaker:us-east-1:111122223333:model-package/acme-dev-loans/3"
VALUES = {"enabled": "true", "arn": ARN}


@pytest.mark.parametrize(("before", "after"), [
    ("a: 1\n", "a: 1\nserving: {enabled: true, arn: ARN}\n"),
    ("a: 1", "a: 1\nserving: {enabled: true, arn: ARN}\n"),
    ("a: 1\r\n", "a: 1\r\nserving: {enabled: true, arn: ARN}\r\n"),
    ("serving: {}  # c\n", "serving: {enabled: true, arn: ARN}  # c\n"),
    ("serving: {n:  2}  # c\n", "serving: {n:  2, enabled: true, arn: ARN}  # c\n"),
    ("serving: {n: 2,}\n", "serving: {n: 2, enabled: true, arn: ARN,}\n"),
    ("{a: 1, serving: {n: 2}}", "{a: 1, serving: {n: 2, enabled: true, arn: ARN}}"),
    ("serving: {enabled: no, arn: null}\nb: 'x'\n", "serving: {enabled: true, arn: ARN}\nb: 'x'\n"),
    ("serving:\n  # why\n  n: 2 # two\n\n  m:   4\nb: [a,  c]\n",
     "serving:\n  # why\n  enabled: true\n  arn: ARN\n" "  n: 2 # two\n\n  m:   4\nb: [a,  c]\n"),
    ("serving:\r\n    enabled: false\r\n    arn:   # none yet\r\n",
     "serving:\r\n    enabled: true\r\n    arn: ARN   # none yet\r\n"),
    ('\ufeff# a mark\nserving: {enabled: true, arn: "old"}\n',
     "\ufeff# a mark\nserving: {enabled: true, arn: ARN}\n"),
    ("x: &m {n: 1}\nserving:\n  <<: *m\n  k: 2\n",
     "x: &m {n: 1}\nserving:\n  enabled: true\n  arn: ARN\n  <<: *m\n  k: 2\n"),
])  # fmt: skip
def test_only_the_values_change(before: str, after: str) -> None:
    assert set_in_section(before, "serving", VALUES) == after.replace("ARN", ARN)


@pytest.mark.parametrize(
    "text",
    [
        "x: &s {enabled: false}\nserving: *s\n",  # the change would be one of `x` too
        "serving: {enabled: &e false}\nx: *e\n",  # `x` would lose its value
        "x: &e false\nserving: {enabled: *e}\n",
        "serving:\nx: 1\n",
        "serving: [1]\n",
        "- 1\n",
        "",
        "a: [\n",
        "{a: 1}\n",
        "a: 1\n...\n",
    ],
)
def test_what_cannot_change_alone_is_refused(text: str) -> None:
    with pytest.raises(YamlError):
        set_in_section(text, "serving", VALUES)


def test_the_projects_own_files_keep_every_line() -> None:
    """Each shipped environment, with the settings that the endpoint has in it."""
    from sashiko.settings.environment import deployed_environments

    for name in deployed_environments():
        before = Path(f"config/{name}.yaml").read_text("utf-8")
        after = set_in_section(before, "serving", VALUES)
        assert parse_yaml(after)["serving"]["arn"] == ARN
        changed = set(before.splitlines()) - set(after.splitlines())
        assert len(changed) <= 1
        assert all(line.startswith("serving:") for line in changed)
