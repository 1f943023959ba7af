"""The tools' account that the tests synthesize: three stages, the first without an approval."""

import functools
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.infra.variants import DEV, PROD, ROOT, new_app

CONNECTION = (
    "arn:aws:codeconnections:us-east-1:777788889999:connection/0123abcd-8aad-4d5d-8878-dfcab0bc441f"
)
DELIVERY = f"""\
by: codepipeline
account: "777788889999"
region: us-east-1
source: {{host: github, repository: acme/triage, branch: main, connection: "{CONNECTION}"}}
stages: [dev, staging, prod]
"""
STAGING = PROD.replace("444455556666", "222233334444")


def write_stages(folder: Path) -> None:
    """Writes the settings of the three environments, and how they are delivered, into a folder."""
    (folder / "base.yaml").write_text((ROOT / "config/base.yaml").read_text())
    files = {"dev": DEV, "staging": STAGING, "prod": PROD, "delivery": DELIVERY}
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)


@functools.cache
def tools_of() -> Any:
    from sashiko.settings.tools import load_tools

    with tempfile.TemporaryDirectory() as folder:
        write_stages(Path(folder))
        return load_tools(folder=Path(folder))


@functools.cache
def delivery_folder() -> Path:
    from sashiko.account.templates import read_templates
    from sashiko_cdk.bootstrap.policies import write_policies
    from sashiko_cdk.security_rules.plugin import add_rules
    from sashiko_packs.delivery.constructs.stack import Delivery

    app, tools = new_app(), tools_of()
    Delivery(app, tools)
    add_rules(app, retains=False)
    folder = Path(app.synth().directory)
    templates = [read_templates(tools.settings, folder=folder)]
    write_policies(tools.settings, templates, folder / "bootstrap", tools=tools)
    return folder


def delivery_template() -> Any:
    """The template of the tools' account."""
    return json.loads((delivery_folder() / "Delivery.template.json").read_text())


def boundary_document() -> Any:
    """The policy that limits all roles of the tools' account."""
    template = json.loads((delivery_folder() / "bootstrap/Bootstrap.template.json").read_text())
    (document,) = (
        item["Properties"]["PolicyDocument"]
        for item in template["Resources"].values()
        if "-boundary-" in item["Properties"]["ManagedPolicyName"]
    )
    return document


@functools.cache
def tools_template(host: str) -> Any:
    from sashiko_packs.delivery.constructs.stack import Delivery

    tools = tools_of()
    source = tools.delivery.source.model_copy(update={"host": host})
    app = new_app()
    delivery = tools.delivery.model_copy(update={"source": source})
    Delivery(app, replace(tools, delivery=delivery))
    return json.loads(Path(app.synth().directory, "Delivery.template.json").read_text())
