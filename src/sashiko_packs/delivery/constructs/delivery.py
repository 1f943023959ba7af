"""All of the tools' account: what the pipeline keeps, its builds, the pipeline, model delivery."""

from sashiko.settings.tools import Tools
from sashiko_cdk.identity.boundary import boundary_of
from sashiko_cdk.stack import EnvironmentStack
from sashiko_packs.delivery.constructs.builds import Build
from sashiko_packs.delivery.constructs.failures import Failures
from sashiko_packs.delivery.constructs.model_delivery import ModelDelivery
from sashiko_packs.delivery.constructs.parts import Stores, parts_of
from sashiko_packs.delivery.constructs.pipeline import DeliveryPipeline

__all__ = ["add_delivery_pipeline"]


def add_delivery_pipeline(stack: EnvironmentStack, tools: Tools) -> None:
    """Adds the pipeline of `config/delivery.yaml` to a stack, and what proposes approved models."""
    boundary = boundary_of(stack, stack.settings)
    stores = Stores(stack, "Stores", tools=tools, removal_policy=stack.removal_policy)
    names = [place.environment for place in (tools.settings, *tools.stages)]
    builds = [
        Build(
            stack,
            part,
            tools=tools,
            names=names,
            stores=stores,
            boundary=boundary,
            removal_policy=stack.removal_policy,
        )
        for part in parts_of(tools)
    ]
    pipeline = DeliveryPipeline(stack, "Pipeline", tools=tools, stores=stores, boundary=boundary)
    pipeline.node.add_dependency(*builds)
    Failures(stack, "Failures", tools=tools, stores=stores, boundary=boundary)
    ModelDelivery(
        stack,
        "Models",
        tools=tools,
        stores=stores,
        boundary=boundary,
        removal_policy=stack.removal_policy,
    )
