"""Writes the workflows by which GitHub Actions delivers, from `config/delivery.yaml`."""

from pathlib import Path
from typing import Final, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from sashiko.account.names import GITHUB_DEPLOYER, GITHUB_READER
from sashiko.errors import InputError
from sashiko.settings.delivery import (
    DELIVERY_FILE,
    approved_stages,
    load_delivery,
    load_stages,
)

# `deliver` brings a merge to the environments, `model-delivery` proposes approved versions.
WorkflowName = Literal["deliver", "model-delivery"]
# Each by the commit of its release: a tag can be moved.
_ACTIONS: Final = {
    "checkout": "actions/checkout@d23441a48e516b6c34aea4fa41551a30e30af803 # v6.1.0",
    "setup_python": "actions/setup-python@ece7cb06caefa5fff74198d8649806c4678c61a1 # v6.3.0",
    "setup_node": "actions/setup-node@249970729cb0ef3589644e2896645e5dc5ba9c38 # v6.5.0",
    "upload_artifact": "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0",
    "download_artifact": "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c "
    "# v8.0.1",
    "configure_aws_credentials": "aws-actions/configure-aws-credentials@"
    "e6de054238d6b7531b4efff3b6587d9aade6a06c # v6.2.3",
}


def workflow(name: WorkflowName = "deliver", *, folder: Path = Path("config")) -> str:
    """Returns the text of `.github/workflows/<name>.yml`.

    Raises:
        InputError: if GitHub Actions does not deliver, or a settings file is not valid.
    """
    delivery = load_delivery(folder=folder)
    file = folder / DELIVERY_FILE
    if delivery is None:
        raise InputError(
            f"{file} does not exist: it says what is delivered (docs/delivery.md, GitHub Actions)"
        )
    if delivery.by != "actions":
        raise InputError(f"{file}: key `by`: {delivery.by} delivers; a workflow needs `actions`")
    # GitHub's expressions have double braces.
    environment = Environment(
        loader=PackageLoader("sashiko_packs.delivery", ""),
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # YAML, of values that the settings' patterns limit
    )
    stages = load_stages(delivery, folder=folder)
    return environment.get_template(f"{name}.yml.j2").render(
        branch=delivery.source.branch,
        stages=stages,
        approved=[stage.environment for stage in approved_stages(stages)],
        reader=GITHUB_READER,
        deployer=GITHUB_DEPLOYER,
        **_ACTIONS,
    )
