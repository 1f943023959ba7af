"""`images/whole.svg`: an environment from its templates and the definitions in them.

A box is a resource; an arrow says that one starts, reads or writes the other. Both are read from
the templates: the events that rules match, what state machines start, the arguments of Glue's
jobs, the URIs in the pipelines' definitions, the endpoint's model and capture, the alarms' topic.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from docs.diagrams import Diagram, arrows, box, direct

Templates = Mapping[str, Mapping[str, Any]]
_COLOURS: Final[Mapping[str, str]] = {
    "DataLake": "blue", "Pipeline": "green", "Platform": "purple", "Serving": "orange",
    "Identity": "yellow",
}  # fmt: skip
# Type -> the property with its name, and what a person calls it.
_KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "AWS::S3::Bucket": ("BucketName", "bucket"),
    "AWS::Glue::Job": ("Name", "Glue job"),
    "AWS::StepFunctions::StateMachine": ("StateMachineName", "state machine"),
    "AWS::SageMaker::Pipeline": ("PipelineName", "SageMaker pipeline"),
    "AWS::SageMaker::ModelPackageGroup": ("ModelPackageGroupName", "model package group"),
    "AWS::SageMaker::Endpoint": ("EndpointName", "endpoint"),
    "AWS::SNS::Topic": ("TopicName", "topic"),
}


@dataclass(frozen=True)
class Box:
    """A resource in the picture."""

    name: str
    kind: str
    stack: str
    text: str = ""  # all of its properties, as JSON

    @property
    def id(self) -> str:
        """What no other box has: an endpoint and its group share a name."""
        return f"{self.kind} {self.name}"

    def drawn(self) -> str:
        """The box in Graphviz's language."""
        about, colour = f"{self.kind}, {self.stack}", _COLOURS[self.stack]
        return box(self.id, _short(self.name), about, colour=colour)


def whole_picture(templates: Templates) -> Diagram:
    """Draws an environment that serves a model.

    Args:
        templates: stack -> template.
    """
    boxes = {box.id: box for box in _boxes(templates)}
    links = set(_edges(templates, list(boxes.values())))
    edges = sorted((start, end) for start, end in links if {start, end} <= boxes.keys())
    drawn = direct(edges)
    linked = {name for edge in edges for name in edge}
    return Diagram(
        "What starts, reads and writes what",
        "; ".join(f"{_short(start)} to {_short(end)}" for start, end in drawn),
        (
            *(one.drawn() for name, one in boxes.items() if name in linked),
            *arrows(drawn),
        ),
    )


def _boxes(templates: Templates) -> Iterator[Box]:
    for stack, template in templates.items():
        resources = template["Resources"].values()
        for resource in resources:
            properties, kind = resource["Properties"], resource["Type"]
            if kind in _KINDS:
                key, words = _KINDS[kind]
                # What an endpoint captures is in its configuration.
                whole = template if words == "endpoint" else properties
                yield Box(properties[key], words, stack, json.dumps(whole))
            elif kind == "AWS::Events::Rule" and (schedule := properties.get("ScheduleExpression")):
                yield Box(schedule, "schedule", stack)
        if alarms := [item for item in resources if item["Type"] == "AWS::CloudWatch::Alarm"]:
            yield Box(f"{len(alarms)} alarms", "CloudWatch", stack, json.dumps(alarms))
    yield Box("approver", "a person", "Identity")


def _edges(templates: Templates, boxes: Sequence[Box]) -> Iterator[tuple[str, str]]:
    for template in templates.values():
        for resource in template["Resources"].values():
            if resource["Type"] == "AWS::Events::Rule":
                yield from _of_rule(resource["Properties"], boxes)
    for one in boxes:
        for other in boxes:
            leads = _LINKS.get((one.kind, other.kind))
            if leads and leads(one, other):
                yield one.id, other.id


def _of_rule(properties: Mapping[str, Any], boxes: Sequence[Box]) -> Iterator[tuple[str, str]]:
    pattern = json.dumps(properties.get("EventPattern", properties.get("ScheduleExpression")))
    machines = {str(target["Arn"]).rpartition(":")[2] for target in properties["Targets"]}
    for one in boxes:
        # An endpoint has its group's name, and no rule is about endpoints.
        if f'{one.name}"' in pattern and one.kind != "endpoint" and one.name not in machines:
            yield from ((one.id, f"state machine {machine}") for machine in machines)


# Kinds of two boxes -> whether the first starts the second, writes to it, or is read by it.
_LINKS: Final[Mapping[tuple[str, str], Callable[[Box, Box], bool]]] = {
    ("bucket", "Glue job"): lambda one, other: f'"--raw": "s3://{one.name}/' in other.text,
    ("Glue job", "bucket"): lambda one, other: f'"--curated": "s3://{other.name}/' in one.text,
    # The curated bucket is read by Athena, the capture's by its name.
    ("bucket", "SageMaker pipeline"): lambda one, other: (
        ("-capture-" in one.name and one.name in other.text)
        or ("-curated-" in one.name and "athena://" in other.text)
    ),
    ("state machine", "Glue job"): lambda one, _: "glue:startJobRun" in one.text,
    ("state machine", "SageMaker pipeline"): lambda one, other: (
        f'PipelineName\\": \\"{other.name}\\"' in one.text
    ),
    ("state machine", "topic"): lambda one, _: "sns:publish" in one.text,
    ("state machine", "CloudWatch"): lambda one, other: (
        "putMetricData" in one.text and one.stack == other.stack
    ),
    ("SageMaker pipeline", "model package group"): lambda one, _: "steps.register" in one.text,
    ("model package group", "a person"): lambda _, __: True,
    ("a person", "endpoint"): lambda _, __: True,
    ("endpoint", "bucket"): lambda one, other: f"s3://{other.name}/{one.name}/" in one.text,
    ("endpoint", "CloudWatch"): lambda one, other: one.stack == other.stack,
    ("CloudWatch", "topic"): lambda one, other: other.name in one.text,
}


def _short(name: str) -> str:
    """Leaves out the project, the environment, account and region."""
    return re.sub(r"sashiko-dev-|-1111.*", "", name)
