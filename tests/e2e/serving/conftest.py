import sys

import pytest

from tests.e2e.serving.compile_job import write_model
from tests.e2e.serving.tiny_artifact import SERVING

# The files import each other as they do in the image: as siblings.
sys.path.append(str(SERVING))


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A Hugging Face folder as Train writes it."""
    return write_model(tmp_path_factory.mktemp("model"))
