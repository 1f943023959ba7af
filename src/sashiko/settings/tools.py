"""The tools' account: where CodePipeline delivers from, by `config/delivery.yaml`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sashiko.errors import InputError
from sashiko.settings.delivery import DELIVERY_FILE, Delivery, load_delivery, load_stages
from sashiko.settings.environment import Settings, load_deployed

__all__ = ["Tools"]

# What the tools' account has is named as an environment's; no environment may have this name.
TOOLS: Final = "delivery"


@dataclass(frozen=True, kw_only=True)
class Tools:
    """The tools' account, and what is delivered from it."""

    # Those of the last stage, with the tools' account, region and name in place of an
    # environment's: what names and policies follow from, and nothing else does. The stack holds no
    # data, so nothing outlives it.
    settings: Settings
    delivery: Delivery  # `config/delivery.yaml`
    stages: tuple[Settings, ...]  # the settings of its stages, in their order


def load_tools(*, folder: Path = Path("config")) -> Tools:
    """Reads what the pipeline in the tools' account follows from.

    InputError if there is no `config/delivery.yaml`, CodePipeline does not deliver, a stage is of
    another project, or one is in the tools' own account and region.
    """
    file = folder / DELIVERY_FILE
    delivery = load_delivery(folder=folder)
    if delivery is None:
        raise InputError(
            f"there is no {file}, so nothing is delivered from a tools' account; docs/delivery.md "
            "says how to write it"
        )
    if delivery.by != "codepipeline":
        raise InputError(
            f"{file}: key `by`: `{delivery.by}` needs no stack in the tools' account; set "
            "`codepipeline` for the pipeline there"
        )
    # The connection has to be the tools' own: builds elsewhere could not clone by it.
    account_place = (delivery.source.connection or "").split(":")[3:5]
    if account_place != [delivery.region, delivery.account]:
        raise InputError(
            f"{file}: key `source.connection`: it is of {' in '.join(reversed(account_place))}, "
            f"and the pipeline of {delivery.account} in {delivery.region}: create one there"
        )
    stages = load_stages(delivery, folder=folder)
    for stage in stages:
        if (stage.account, stage.region) == (delivery.account, delivery.region):
            raise InputError(
                f"{file}: key `account`: {delivery.account} in {delivery.region} is the account "
                f"of `{stage.environment}`; the pipeline needs its own, because the policy that "
                "limits its roles differs under the same name"
            )
    place = {
        "environment": TOOLS,
        "account": delivery.account,
        "region": delivery.region,
        "on_destroy": "delete",
    }
    return Tools(settings=stages[-1].model_copy(update=place), delivery=delivery, stages=stages)


def load_place(name: str, *, folder: Path = Path("config")) -> Settings:
    """Reads the settings of an environment that has an account, or of the tools (`delivery`).

    InputError as `load_deployed` and `load_tools`.
    """
    return (
        load_tools(folder=folder).settings if name == TOOLS else load_deployed(name, folder=folder)
    )


def stages_tools(settings: Settings, *, folder: Path = Path("config")) -> Tools | None:
    """Returns the tools that an environment's bootstrap trusts; None if it trusts none.

    Environments of one account and region share a bootstrap, so one of them is enough. Errors as
    `load_tools`.
    """
    delivery = load_delivery(folder=folder)
    if delivery is None or delivery.by != "codepipeline":
        return None
    tools = load_tools(folder=folder)
    places = {(stage.account, stage.region) for stage in tools.stages}
    return tools if (settings.account, settings.region) in places else None
