"""Prints the definition of each environment and recipe, in one process: the SDK's import is slow.

`python tests/pipeline/every_definition.py SET` prints {"local, complaints": {...}, ...}. The set
`each-time` has every recipe in dev, `complaints` in the other environments, and every choice; the
set `weekly` has the rest. Stdin has commands of `python -m sashiko.pipeline.sdk` as JSON, name ->
folder and arguments: what each prints is among the definitions by its name, as text.
"""

import contextlib
import io
import json
import logging
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ("local", "dev", "prod")
PLAN = "arn:aws:sagemaker:us-east-1:111122223333:training-plan/spring"
# What a fork may set, on upstream's settings and recipe: dev's lines, the recipe's overrides.
CHOICES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "as it comes": ({}, ()),
    "spot": ({"jobs": {"training": {"spot": {"max_wait": "12h"}}}}, ()),
    "training plan": (
        {"jobs": {"training": {"instance_type": "ml.p5.48xlarge", "training_plan": PLAN}}}, ()),
    "several nodes": (
        {"jobs": {"training": {"spot": {"max_wait": "12h"}}}},
        (
            "train.distributed={strategy: fsdp, nodes: 4, processes: 8, "
            "instance_type: ml.p5.48xlarge}",
        ),
    ),
    "several types": ({"jobs": {
        "training": {"fallback_instance_types": ["ml.g5.2xlarge"], "keep_alive": "30m"},
        "scoring": {"fallback_instance_types": ["ml.m5.4xlarge", "ml.m6i.2xlarge"]},
    }}, ()),
    "several instances": ({"jobs": {"scoring": {"instance_count": 4}}}, ()),
    "volume key": ({"jobs": {"training": {"instance_type": "ml.m5.2xlarge"}}}, ()),
    "inf2": ({}, ("compile.target=inf2",)),
    "clarify": ({"bias": {"backend": "clarify"}}, ()),
    "bias not judged": ({},
        ('bias={judged: false, reason: "none are\\nknown", gates: []}', "reweighing={facets: []}")),
}  # fmt: skip


def recipes() -> list[Path]:
    return sorted(Path("recipes").glob("*.yaml"))


def shipped(*, weekly: bool) -> list[tuple[str, Path]]:
    """Returns the environments and recipes of a set, without the choices."""
    return [
        (environment, path)
        for environment in ENVIRONMENTS
        for path in recipes()
        if weekly == (environment != "dev" and path.stem != "complaints")
    ]


def names() -> list[Any]:
    """The names of all definitions, as parameters of a test; those of the weekly set are slow."""
    each_time, weekly = (
        [f"{environment}, {path.stem}" for environment, path in shipped(weekly=weekly)]
        for weekly in (False, True)
    )
    slow = (pytest.param(name, marks=pytest.mark.slow) for name in weekly)
    return [*each_time, *CHOICES, *slow]


def printed_by(folder: str, arguments: list[str]) -> str:
    """What a command prints, or the error that ends it; it runs in this process."""
    from sashiko.errors import InputError
    from sashiko.pipeline.sdk import __main__ as sdk

    output = io.StringIO()
    sys.argv[1:] = arguments
    with contextlib.chdir(folder), contextlib.redirect_stdout(output):
        try:
            sdk.main()
        except InputError as error:
            print(f"error: {error}")
    return output.getvalue()


def main() -> None:
    weekly = sys.argv[1] == "weekly"
    sys.path.insert(0, str(ROOT))
    import botocore.session

    from sashiko.account.names import bucket_name
    from sashiko.base.yaml_models import Layer, read_yaml, validate_layers
    from sashiko.packs import enabled_packs
    from sashiko.pipeline.sdk.__main__ import set_environment
    from sashiko.settings.environment import load_settings, settings_model
    from sashiko.settings.recipe import load_recipe

    environments = {name: load_settings(name, folder=ROOT / "config") for name in ENVIRONMENTS}
    set_environment(environments["local"])
    logging.getLogger("sagemaker").setLevel(logging.ERROR)
    from pipelines.finetune import build_pipeline
    from sashiko.pipeline.sdk import jobs

    commands = json.load(sys.stdin)
    built: dict[str, Any] = {name: printed_by(*command) for name, command in commands.items()}
    # Most of the time goes into the models of SageMaker's clients, which each session reads again.
    botocore.session.create_loader = cache(botocore.session.create_loader)
    open_session, sessions = jobs.pipeline_session, dict[tuple[str, str], Any]()

    def session(settings: Any) -> Any:
        key = (settings.region, bucket_name(settings, "artifacts"))
        if key not in sessions:
            sessions[key] = open_session(settings)
        return sessions[key]

    jobs.pipeline_session = session

    requested = {
        f"{environment}, {path.stem}": (environments[environment], load_recipe(path))
        for environment, path in shipped(weekly=weekly)
    }
    model = settings_model(enabled_packs(folder=ROOT / "config"))
    base = Layer("base", read_yaml(ROOT / "config/base.yaml"))
    account = Layer("account", {"account": "111122223333", "environment": "dev", "tier": "dev"})
    for name, (change, overrides) in () if weekly else CHOICES.items():
        settings = validate_layers(model, [base, account, Layer(name, change)])
        recipe = load_recipe(Path("recipes/complaints.yaml"), overrides=overrides)
        requested[name] = (settings, recipe)
    for name, (settings, recipe) in requested.items():
        built[name] = json.loads(
            build_pipeline(jobs.Jobs.for_recipe(settings, recipe)).definition()
        )
    print(json.dumps(built))


if __name__ == "__main__":
    main()
