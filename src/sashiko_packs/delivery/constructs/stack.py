"""The pipeline in the tools' account that brings a merge to the environments."""

from constructs import Construct

from sashiko.settings.tools import Tools
from sashiko_cdk.stack import EnvironmentStack
from sashiko_packs.delivery.constructs.delivery import add_delivery_pipeline


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
        add_delivery_pipeline(self, tools)
