"""Register is run with the arguments that the pipeline gives it."""

import sys

import pytest

from sashiko.steps import register
from tests.unit.registry.model_packages.account import GROUP, PLACEMENT

DEFINITION = "5" * 64
MONITORING = {
    f"--{name}-uri": f"s3://artifacts/runs/abc123def456/{name}"
    for name in ("reference", "test", "bias-rows")
}


def run_register(monkeypatch: pytest.MonkeyPatch, *more: str, registry: str = "sagemaker") -> None:
    arguments = {
        "--registry": registry,
        "--model-package-group": GROUP,
        "--execution-id": "abc123def456",
        "--recipe": "loans",
        "--data-uri": PLACEMENT.made_from,
        "--models-uri": PLACEMENT.models_uri,
        "--serving-image": PLACEMENT.serving_image,
        "--signing-key": PLACEMENT.signing_key,
        "--licences": "Apache-2.0,MIT",
        "--definition-sha256": DEFINITION,
        **MONITORING,
    }
    words = [word for pair in arguments.items() for word in pair]
    monkeypatch.setattr(sys, "argv", ["register", *words, *more])
    register.main()
