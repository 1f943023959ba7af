"""What a person reads before prod's deploy: `cdk diff` shows what runs, as whom, and what leaves.

That the person is always asked is test_delivery.py's.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.variants import output_of, synthesized

FOREIGN = "999999999999"
Change = Callable[[Any], None]


def _other_role(function: Any) -> None:
    function["Role"] = f"arn:aws:iam::{FOREIGN}:role/other"


def _other_code(function: Any) -> None:
    function["Code"]["S3Key"] = "0" * 64 + ".zip"


def _other_script(job: Any) -> None:
    job["Command"]["ScriptLocation"] = "s3://elsewhere/script.py"


def _other_target_role(rule: Any) -> None:
    rule["Targets"][0]["RoleArn"] = f"arn:aws:iam::{FOREIGN}:role/other"


def _replication(bucket: Any) -> None:
    destination = {"Bucket": "arn:aws:s3:::elsewhere", "Account": FOREIGN}
    rule = {"Status": "Enabled", "Destination": destination}
    bucket["ReplicationConfiguration"] = {
        "Role": f"arn:aws:iam::{FOREIGN}:role/other",
        "Rules": [rule],
    }


CHANGES: dict[str, tuple[str, Change, tuple[str, ...]]] = {
    "function's role": ("AWS::Lambda::Function", _other_role, ("Role", FOREIGN)),
    "function's code": ("AWS::Lambda::Function", _other_code, ("S3Key", "0" * 64)),
    "Glue's script": ("AWS::Glue::Job", _other_script, ("ScriptLocation", "s3://elsewhere")),
    "rule's target": ("AWS::Events::Rule", _other_target_role, ("RoleArn", FOREIGN)),
    "replication": ("AWS::S3::Bucket", _replication, ("ReplicationConfiguration", FOREIGN)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_approver_sees_what_a_list_of_permissions_would_not_show(
    tmp_path: Path, name: str
) -> None:
    kind, change, words = CHANGES[name]
    assembly = tmp_path / "assembly"
    shutil.copytree(synthesized("prod"), assembly)
    file, document, properties = next(_resources(assembly, kind))
    deployed = tmp_path / "deployed.json"
    deployed.write_text(json.dumps(document))
    change(properties)
    file.write_text(json.dumps(document))
    stack = file.name.removesuffix(".template.json")
    command = ["node_modules/.bin/cdk", "diff", "--app", str(assembly), "--exclusively", stack]
    options = ["--template", str(deployed), "--no-color", "--no-notices"]
    done = output_of([*command, *options])
    output = done.stdout + done.stderr
    assert "Number of stacks with differences: 1" in output
    assert all(word in output for word in words), output


def _resources(assembly: Path, kind: str) -> Iterator[tuple[Path, Any, Any]]:
    for file in sorted(assembly.glob("*.template.json")):
        document = json.loads(file.read_text())
        for resource in document["Resources"].values():
            properties = resource.get("Properties", {})
            if resource["Type"] == kind and properties.get("Targets", [{"RoleArn"}])[0]:
                yield file, document, properties
