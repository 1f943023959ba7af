"""Prints definitions of pipelines: `python -m sashiko.pipeline.sdk --recipe recipes/x.yaml ...`.

The caller passes its settings as JSON, so that both processes use the same environment.
"""

import argparse
import importlib
import json
import logging
import os
import sys
from pathlib import Path

from sashiko.base.deprecation import show_deprecations
from sashiko.base.yaml_models import read_yaml, validate
from sashiko.errors import InputError
from sashiko.packs import load_packs
from sashiko.pipeline.definition.definition_records import with_digest
from sashiko.settings.environment import Settings, settings_model


def set_environment(settings: Settings) -> None:
    """Sets the environment variables that the SDK reads; call it before importing the SDK.

    By default the SDK creates boto3 clients at import (which need a region), simulates the role's
    policy in IAM and looks for credentials on the network.
    """
    os.environ["AWS_DEFAULT_REGION"] = settings.region
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


def main() -> None:
    """Writes each definition as indented JSON on stdout."""
    from sashiko.pipeline.project import open_recipe

    parser = argparse.ArgumentParser(description="Prints definitions of pipelines.")
    parser.add_argument("--settings", type=Path, required=True, help="an environment's, as JSON")
    parser.add_argument("--recipe", type=Path, required=True, help="a recipe's YAML file")
    parser.add_argument("--pipeline", action="append", help="modules of pipelines/: finetune")
    parser.add_argument("--set", action="append", default=[], help="key.path=value over the recipe")
    parser.add_argument(
        "--with-channels",
        action="store_true",
        help="print a line of JSON a pipeline, of two keys: `definition`, the text; `channels`, "
        "the files that its steps read staged",
    )
    arguments = parser.parse_args()
    source = str(arguments.settings)
    value = read_yaml(arguments.settings)
    packs = load_packs(value.get("packs"), source=source)
    settings = validate(settings_model(packs), value, source=source)
    recipe = open_recipe(arguments.recipe, overrides=tuple(arguments.set))

    set_environment(settings)
    show_deprecations()
    # The SDK warns about every job name that a pipeline leaves to the service, as it should.
    logging.getLogger("sagemaker").setLevel(logging.ERROR)
    from sashiko.pipeline.sdk.jobs import Jobs

    for name in arguments.pipeline or ["finetune"]:
        # The project's own module; the engine imports it only here.
        pipelines = importlib.import_module(f"pipelines.{name}")
        jobs = Jobs.for_recipe(settings, recipe)
        definition = json.loads(pipelines.build_pipeline(jobs).definition())
        text = json.dumps(with_digest(definition), indent=2)
        if arguments.with_channels:
            channels = [channel.model_dump(mode="json") for channel in jobs.channels]
            text = json.dumps({"definition": f"{text}\n", "channels": channels})
        print(text)


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
