"""A label of more than two classes, which monitoring does not judge."""

import yaml

from sashiko.base.yaml_models import read_yaml
from tests.e2e.tiny import copy_repository


def test_a_label_of_three_classes_is_refused_before_a_row_is_captured(tmp_path) -> None:
    project = copy_repository(tmp_path / "project")
    path = project.root / "contracts/complaints.odcs.yaml"
    contract = read_yaml(path)
    [table] = contract["schema"]
    [column] = [item for item in table["properties"] if item["name"] == "escalate"]
    column["enum"].append({"value": "later"})
    [label] = [item for item in table["customProperties"] if item["property"] == "label"]
    label["value"] = {"column": "escalate", "kind": "classes", "favourable": ["yes"]}
    path.write_text(yaml.safe_dump(contract))

    replay = project.call("model", "replay", "rows.csv", "--recipe", "complaints")

    assert replay.returncode == 1
    assert "label `escalate` has 3 classes, and the pack `monitoring`" in replay.stderr
    assert not (project.home / "capture").exists()
