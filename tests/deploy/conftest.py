"""How jsii is to behave while the tests synthesize."""

import os

# CDK's own check of every template takes 4 s; tests/infra runs it.
os.environ["CDK_VALIDATION"] = "false"
os.environ["JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION"] = "20"
