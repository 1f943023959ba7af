from pathlib import Path

import pytest

from tests.unit.explain.planted import save_model


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the model whose truth is known."""
    folder = tmp_path_factory.mktemp("planted")
    save_model(folder)
    return folder
