"""The pipeline in the tools' account that brings a merge to the environments."""

from constructs import Construct

from sashiko.settings.tools import Tools
from sashiko_cdk.delivery.builds import Build
from sashiko_cdk.delivery.model_delivery import ModelDelivery
from sashiko_cdk.delivery.parts import parts_of, places_of
from sashiko_cdk.delivery.pipeline import DeliveryPipeline
from sashiko_cdk.delivery.stores import Stores
from sashiko_cdk.identity.boundary import boundary_of
from sashiko_cdk.stack import EnvironmentStack


class Delivery(EnvironmentStack):
    """CodePipeline, its builds and what they keep."""

    def __init__(self, scope: Construct, tools: Tools) -> None:
        """Makes the pipeline of `config/delivery.yaml`."""
        super().__init__(
            scope,
            "Delivery",
            tools,
            stateful=False,
            description="The pipeline that deploys what is merged, and its builds",
        )
        boundary = boundary_of(self, self.settings)
        stores = Stores(self, "Stores", tools=tools, removal_policy=self.removal_policy)
        for part in parts_of(tools):
            Build(
                self,
                part,
                tools=tools,
                names=[place.environment for place in places_of(tools)],
                stores=stores,
                boundary=boundary,
                removal_policy=self.removal_policy,
            )
        ModelDelivery(
            self,
            "Models",
            tools=tools,
            stores=stores,
            boundary=boundary,
            removal_policy=self.removal_policy,
        )
        pipeline = DeliveryPipeline(self, "Pipeline", tools=tools, stores=stores, boundary=boundary)
        pipeline.node.add_dependency(*(self.node.find_child(part.id) for part in parts_of(tools)))
