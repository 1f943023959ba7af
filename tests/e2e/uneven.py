"""A compile target whose graph gives a single row another score than the same row among others."""

import yaml

from tests.e2e.project import Project

_TARGET = """\
from pathlib import Path

from sashiko.serving.targets import CONTAINER
from sashiko.settings.targets import Target

UNEVEN = Target(
    exporter=CONTAINER / "export_onnx.py",
    backend=Path(__file__).with_name("uneven_backend.py"),
    modules=(CONTAINER / "onnx_backend.py",),
    image="serving-cpu",
    families=("c6i",),
    instance_type="ml.c6i.xlarge",
)
"""
_BACKEND = """\
from onnx_backend import OnnxBackend


def open_backend(folder, bundle, machine):
    return Uneven(folder, threads=machine.threads)


class Uneven(OnnxBackend):
    def run(self, bucket, ids, mask):
        scores = super().run(bucket, ids, mask)
        return scores * scores.dtype.type(1 - 1e-6) if len(ids) == 1 else scores
"""


def answer_single_rows_otherwise(project: Project) -> None:
    """Has a project compile for the target: a device asks for row by row, Evaluate for batches."""
    folder = project.root / "uneven"
    folder.mkdir()
    (folder / "targets.py").write_text(_TARGET)
    (folder / "uneven_backend.py").write_text(_BACKEND)
    recipe = project.root / "recipes/tiny.yaml"
    content = yaml.safe_load(recipe.read_text())
    content["compile"]["target"] = "uneven.targets:UNEVEN"
    recipe.write_text(yaml.safe_dump(content))
