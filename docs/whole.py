"""`images/whole.svg`: an environment from its templates and the definitions in them.

A box is a resource; an arrow says that one starts, reads or writes the other. Both are read from
the templates: the events that rules match, what state machines start, the arguments of Glue's
jobs, the URIs in the pipelines' definitions, the endpoint's model and capture, the alarms' topic.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Final

from sashiko.run_report.lineage import Placed, Point, place

PICTURE = Path(__file__).parent / "images/whole.svg"
Templates = Mapping[str, Mapping[str, Any]]
_BOX, _HEIGHT, _COLUMN, _ROW = 164, 42, 176, 70
_COLOURS: Final[Mapping[str, str]] = {
    "DataLake": "#cfe3f5", "Pipeline": "#d9ecd2", "Platform": "#e6dcf2", "Serving": "#f5dccf",
    "Identity": "#f5edc4",
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


def whole_picture(templates: Templates) -> str:
    """Draws an environment that serves a model.

    Args:
        templates: stack -> template.
    """
    boxes = {box.id: box for box in _boxes(templates)}
    links = set(_edges(templates, list(boxes.values())))
    edges = sorted((start, end) for start, end in links if {start, end} <= boxes.keys())
    linked = {box for edge in edges for box in edge}
    names = _order([name for name in boxes if name in linked], edges)
    return _draw([boxes[name] for name in names], place(names, edges))


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
    for box in boxes:
        # An endpoint has its group's name, and no rule is about endpoints.
        if f'{box.name}"' in pattern and box.kind != "endpoint" and box.name not in machines:
            yield from ((box.id, f"state machine {machine}") for machine in machines)


def _bucket(job: Box, argument: str) -> str:
    uri: str = json.loads(job.text)["DefaultArguments"][argument]
    return uri.removeprefix("s3://").partition("/")[0]


def _reads(bucket: Box, pipeline: Box) -> bool:
    lake = "athena://" in pipeline.text and "-curated-" in bucket.name
    return lake or ("-capture-" in bucket.name and bucket.name in pipeline.text)


def _starts(machine: Box, pipeline: Box) -> bool:
    return f'PipelineName\\": \\"{pipeline.name}\\"' in machine.text


# Kinds of two boxes -> whether the first starts the second, writes to it, or is read by it.
_LINKS: Final[Mapping[tuple[str, str], Callable[[Box, Box], bool]]] = {
    ("bucket", "Glue job"): lambda one, other: _bucket(other, "--raw") == one.name,
    ("Glue job", "bucket"): lambda one, other: _bucket(one, "--curated") == other.name,
    ("bucket", "SageMaker pipeline"): _reads,
    ("state machine", "Glue job"): lambda one, _: "glue:startJobRun" in one.text,
    ("state machine", "SageMaker pipeline"): _starts,
    ("state machine", "topic"): lambda one, _: "sns:publish" in one.text,
    ("state machine", "CloudWatch"): lambda one, other: (
        "putMetricData" in one.text and one.stack == other.stack
    ),
    ("SageMaker pipeline", "model package group"): lambda one, _: (
        "sashiko.steps.register" in one.text
    ),
    ("model package group", "a person"): lambda _, __: True,
    ("a person", "endpoint"): lambda _, __: True,
    ("endpoint", "bucket"): lambda one, other: f"s3://{other.name}/{one.name}/" in one.text,
    ("endpoint", "CloudWatch"): lambda one, other: one.stack == other.stack,
    ("CloudWatch", "topic"): lambda one, other: other.name in one.text,
}


def _order(names: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[str]:
    """Sorts the boxes so that each arrow goes from an earlier one to a later one."""
    left, ordered = list(names), []
    while left:
        free = [n for n in left if not any(a in left for a, b in edges if b == n)]
        if not free:
            raise SystemExit(f"error: the picture of the whole has a circle among {left}")
        ordered += free
        left = [name for name in left if name not in free]
    return ordered


def _draw(boxes: Sequence[Box], placed: Placed) -> str:
    width, height = placed.width * _COLUMN, placed.rows * _ROW + 30
    names = {box.id: f"{box.kind} {_short(box.name)}" for box in boxes}
    alt = "What starts, reads and writes what: " + "; ".join(
        f"{names[start]} to {names[end]}" for start, end in placed.arrows
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'role="img" aria-label="{escape(alt)}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width:.0f}" height="{height:.0f}" fill="#fff"/>',
        *(_arrow(points) for points in placed.arrows.values()),
        *(_node(box, placed.nodes[box.id]) for box in boxes),
        *_legend(height),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _node(box: Box, point: Point) -> str:
    x, y = _coordinates(point)
    radius = _HEIGHT / 2 if box.kind == "a person" else 4
    return (
        f'<rect x="{x - _BOX / 2:.1f}" y="{y - _HEIGHT / 2:.1f}" width="{_BOX}" height="{_HEIGHT}" '
        f'rx="{radius:g}" fill="{_COLOURS[box.stack]}" stroke="#666"/>'
        f'<text x="{x:.1f}" y="{y - 3:.1f}" text-anchor="middle" fill="#111">'
        f"{escape(_short(box.name))}</text>"
        f'<text x="{x:.1f}" y="{y + 12:.1f}" text-anchor="middle" fill="#444" font-size="10">'
        f"{escape(box.kind)}</text>"
    )


def _arrow(points: Sequence[Point]) -> str:
    (x, y), *rest = (_coordinates(point) for point in points)
    y += _HEIGHT / 2
    path = f"M{x:.1f} {y:.1f}"
    for index, (end_x, end_y) in enumerate(rest):
        last = index == len(rest) - 1
        stop = end_y - _HEIGHT / 2 - (5 if last else 0)
        middle = (y + stop) / 2
        path += f"C{x:.1f} {middle:.1f} {end_x:.1f} {middle:.1f} {end_x:.1f} {stop:.1f}"
        x, y = end_x, stop
        if not last:
            y = end_y + _HEIGHT / 2
            path += f"V{y:.1f}"
    return (
        f'<path d="{path}" fill="none" stroke="#888"/>'
        f'<path d="M{x - 3.5:.1f} {y - 1:.1f}h7l-3.5 6z" fill="#888"/>'
    )


def _legend(height: float) -> Iterator[str]:
    for index, (stack, colour) in enumerate(_COLOURS.items()):
        x = 8 + index * 75
        yield (
            f'<rect x="{x}" y="{height - 20:.0f}" width="12" height="12" fill="{colour}" '
            f'stroke="#666"/><text x="{x + 17}" y="{height - 10:.0f}" fill="#111">{stack}</text>'
        )


def _coordinates(point: Point) -> tuple[float, float]:
    return point.x * _COLUMN, point.row * _ROW + _ROW / 2


def _short(name: str) -> str:
    """Leaves out the project, the environment, account and region."""
    parts = name.removeprefix("sashiko-dev-").split("-1111")
    return parts[0]
