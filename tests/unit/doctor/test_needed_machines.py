"""How many instances a pipeline uses at once."""

import json
from typing import Any

import pytest

from sashiko.doctor.machines import most_at_once, needed_machines
from sashiko.pipeline.definition.definition_records import Definition, parse_definition
from tests.infra.variants import ROOT, settings_of


def definition(**waits: str) -> Definition:
    """Steps that wait for others, by name: `b="a"` waits for a, `c="a b"` for both."""
    return parse_definition(
        {
            "Steps": [
                {"Name": name, "Type": "Processing", "Arguments": {}, "DependsOn": of.split()}
                for name, of in waits.items()
            ]
        }
    )


@pytest.mark.parametrize(
    ("waits", "names", "expected"),
    [
        ({"a": "", "b": "a", "c": "b"}, "a b c", 1),
        ({"a": "", "b": "", "c": "a b"}, "a b c", 2),
        ({"a": "", "b": "a", "c": "a", "d": "a", "e": "b c d"}, "a b c d e", 3),
        # Not by depth: x waits for nobody, and runs beside each of the others.
        ({"a": "", "b": "a", "c": "b", "x": ""}, "c x", 2),
        ({"a": "", "b": "a", "c": "b"}, "a c", 1),
        ({"a": "", "b": "", "c": "a", "d": "a b"}, "a b c d", 2),
    ],
)
def test_steps_that_do_not_wait_for_each_other_may_run_together(
    waits: dict[str, str], names: str, expected: int
) -> None:
    assert most_at_once(definition(**waits), names.split()) == expected


def needed(check: str = "endpoint", **changes: Any) -> dict[str, int]:
    text = (ROOT / "tests/golden/complaints.definition.json").read_text()
    settings = settings_of("dev")
    serving = settings.serving.model_copy(update=changes)
    settings = settings.model_copy(update={"serving": serving, "device_check": check})
    machines = needed_machines(settings, parse_definition(json.loads(text)), target="inf2")
    return {item.quota: item.count for item in machines}


def test_each_kind_of_job_has_its_own_quota_under_sagemakers_name() -> None:
    instances = needed()
    assert instances["ml.g5.xlarge for training job usage"] == 1
    assert instances["ml.m5.large for processing job usage"] >= 2  # both snapshots at once
    assert instances["ml.inf2.xlarge for endpoint usage"] == 1


def test_a_job_on_several_instances_needs_them_all() -> None:
    golden = json.loads((ROOT / "tests/golden/complaints.definition.json").read_text())
    (train,) = [step for step in golden["Steps"] if step["Name"] == "Train"]
    train["Arguments"]["ResourceConfig"]["InstanceCount"] = 4
    machines = needed_machines(settings_of("dev"), parse_definition(golden), target="inf2")
    (training,) = [item for item in machines if item.use == "training job"]
    assert training.count == 4
    assert training.key == "jobs.training.instance_type"


def test_score_on_several_instances_needs_as_many_of_its_type() -> None:
    golden = json.loads((ROOT / "tests/golden/complaints.definition.json").read_text())
    (score,) = [step for step in golden["Steps"] if step["Name"] == "Score"]
    score["Arguments"]["ProcessingResources"]["ClusterConfig"]["InstanceCount"] = 10
    machines = needed_machines(settings_of("dev"), parse_definition(golden), target="inf2")
    counts = {item.quota: item.count for item in machines}
    assert counts["ml.m5.2xlarge for processing job usage"] == 10


def test_a_type_that_no_setting_names_is_the_recipes() -> None:
    golden = json.loads((ROOT / "tests/golden/complaints.definition.json").read_text())
    (train,) = [step for step in golden["Steps"] if step["Name"] == "Train"]
    train["Arguments"]["ResourceConfig"]["InstanceType"] = "ml.p5.48xlarge"
    machines = needed_machines(settings_of("dev"), parse_definition(golden), target="inf2")
    (training,) = [item for item in machines if item.use == "training job"]
    assert training.key == "train.distributed.instance_type"


@pytest.mark.parametrize(("least", "most", "expected"), [(2, 3, 5), (1, 5, 6)])
def test_a_deployment_keeps_the_old_endpoint_beside_the_new_one(
    least: int, most: int, expected: int
) -> None:
    """And a run may check another version at the same time."""
    instances = needed(enabled=True, min_instances=least, max_instances=most)
    assert instances["ml.inf2.xlarge for endpoint usage"] == expected


@pytest.mark.parametrize(
    ("check", "quota"),
    [
        ("endpoint", "ml.inf2.xlarge for endpoint usage"),
        ("transform", "ml.inf2.xlarge for transform job usage"),
        ("off", None),
    ],
)
def test_a_check_on_a_device_needs_one_machine_of_its_own(check: str, quota: str | None) -> None:
    instances = {name: count for name, count in needed(check).items() if "inf2" in name}
    assert instances == ({quota: 1} if quota else {})
