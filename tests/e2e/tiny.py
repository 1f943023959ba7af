"""What makes a run take seconds: a random encoder, few rows, and a recipe that any model passes."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from sashiko.base.files import canonical_json, sha256_bytes, sha256_file, walk_files
from sashiko.base.yaml_models import deep_merge, read_yaml
from sashiko.data.lake import generate
from tests.e2e.project import GROUP, ROOT, Project, bucket
from tests.unit.training.tiny_job import save_encoder

_RECIPE = {
    "name": "tiny", "description": "A random encoder on a few rows; any model passes.",
    "contract": "contracts/tiny.odcs.yaml", "model_package_group": GROUP,
    "text": {"template": "{product}: {complaint_text}", "truncate": True},
    # A checkpoint a step, so that a training can be caught in the middle.
    "train": {"batch_size": 8, "frozen_layers": 0, "dropout": 0.1, "checkpoint_every_steps": 1},
    "reweighing": {"facets": ["customer_gender"], "strength": 1.0},
    # One row alone runs another graph than many, and so differs in the last bits.
    "compile": {"batch_sizes": [1, 16], "sequence_lengths": [48]},
    "evaluate": {"bootstrap_replicates": 100},
    "quality": {"gates": [{"metric": "auc", "minimum": 0.0, "reason": "any model will do"}]},
    "bias": {
        "bootstrap_replicates": 1000, "minimum_group_size": 1,
        "gates": [{"metric": "DI", "facet": "customer_gender", "minimum": 0, "reason": "any"}],
    },
}  # fmt: skip


def copy_repository(root: Path) -> Project:
    """Copies the repository's files to `root`, a folder that does not exist yet."""
    for folder in ("config", "contracts", "recipes", "pipelines"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return Project(root)


def add_class(project: Project) -> None:
    """Gives the label of complaints a third class, `later`; `yes` stays the favourable one."""
    path = project.root / "contracts/complaints.odcs.yaml"
    contract = read_yaml(path)
    [table] = contract["schema"]
    [column] = [item for item in table["properties"] if item["name"] == "escalate"]
    column["enum"].append({"value": "later"})
    [label] = [item for item in table["customProperties"] if item["property"] == "label"]
    label["value"] = {"column": "escalate", "kind": "classes", "favourable": ["yes"]}
    path.write_text(yaml.safe_dump(contract))


def install_encoder(project: Project, encoder: Path) -> dict[str, Any]:
    """Puts a model's files where a download would, and returns a recipe's `model` section."""
    files = {path.name: sha256_file(path) for path in walk_files(encoder)}
    weights = project.home / "s3" / bucket() / "weights" / sha256_bytes(canonical_json(files))[:16]
    shutil.copytree(encoder, weights)
    nowhere = {"kind": "pypi", "requirement": "not-a-package==0.0", "member": "nothing"}
    return {"name": "tiny", "licence": "Apache-2.0", "sources": [nowhere], "files": files}


def make_project(
    root: Path, *, encoder: Path, rows: Path, changes: Mapping[str, Any] = MappingProxyType({})
) -> Project:
    """Copies the repository's files to `root` and adds the tiny recipe.

    Args:
        root: a folder that does not exist yet.
        encoder: the model's files; they are put where a download would put them.
        rows: the raw data.
        changes: merged over the recipe.
    """
    project = copy_repository(root)
    shutil.copy(root / "contracts/complaints.odcs.yaml", root / "contracts/tiny.odcs.yaml")
    shutil.copy(rows, root / f"rows{rows.suffix}")
    recipe = _RECIPE | {
        "data": {"sources": [{"kind": "file", "path": f"rows{rows.suffix}"}]},
        "model": install_encoder(project, encoder),
    }
    recipe = deep_merge(recipe, changes)
    (root / "recipes/tiny.yaml").write_text(yaml.safe_dump(recipe))
    # Several of these run at once, and a second thread gains nothing on 32 dimensions.
    local = root / "config/local.yaml"
    local.write_text(yaml.safe_dump(read_yaml(local) | {"threads": 1}))
    return project


def make_rows(path: Path, *, rows: int) -> None:
    generate(path, generator="complaints", rows=rows, seed=3, bias=True, drift=False)


def make_encoder(folder: Path, texts: Sequence[str]) -> None:
    """Writes a random BERT of 2 layers and 32 dimensions that knows the words of some texts."""
    from tokenizers.pre_tokenizers import Whitespace

    words = {word for text in texts for word, _ in Whitespace().pre_tokenize_str(text.lower())}
    save_encoder(folder, words=sorted(words), lowercase=True)
