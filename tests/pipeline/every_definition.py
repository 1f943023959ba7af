"""Prints the definition of each environment and recipe, in one process: the SDK's import is slow.

`python tests/pipeline/every_definition.py` prints {"local, complaints": {...}, ...}.
"""

import json
import logging
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ("local", "dev", "prod")


def recipes() -> list[Path]:
    return sorted((ROOT / "recipes").glob("*.yaml"))


def main() -> None:
    sys.path.insert(0, str(ROOT))
    from pipelines.offline import set_environment
    from sashiko.recipe import load_recipe
    from sashiko.settings import load_settings

    environments = [load_settings(name) for name in ENVIRONMENTS]
    set_environment(environments[0])
    logging.getLogger("sagemaker").setLevel(logging.ERROR)
    from pipelines.finetune import build_pipeline

    built = {}
    for settings in environments:
        for path in recipes():
            recipe = load_recipe(path)
            pipeline = build_pipeline(settings, recipe, contract_file=Path(recipe.contract))
            name = f"{settings.environment}, {path.stem}"
            built[name] = json.loads(pipeline.definition())
    print(json.dumps(built))


if __name__ == "__main__":
    main()
