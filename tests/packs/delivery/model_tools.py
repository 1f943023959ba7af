"""What delivers approved models: the tools' account, and an environment that it delivers to."""

import functools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.infra.delivery import tools_of
from tests.infra.variants import new_app, settings_of

VARIANT = "account_off"  # the pipeline of the tools' account deploys it
DEV = settings_of(VARIANT)
TOOLS = "777788889999"


@functools.cache
def tools_template(host: str) -> Any:
    """The template of the tools' account of a repository on a host."""
    from sashiko_packs.delivery.constructs.stack import Delivery

    tools = tools_of()
    source = tools.delivery.source.model_copy(update={"host": host})
    app = new_app()
    delivery = tools.delivery.model_copy(update={"source": source})
    Delivery(app, replace(tools, delivery=delivery))
    return json.loads(Path(app.synth().directory, "Delivery.template.json").read_text())
