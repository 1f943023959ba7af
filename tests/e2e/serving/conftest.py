import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.serving.compile_job import Compiled, job, write_model
from tests.e2e.serving.tiny_artifact import SERVING

# The files import each other as they do in the image: as siblings.
sys.path.append(str(SERVING))


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A Hugging Face folder as Train writes it."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def run_train() -> Iterator[Callable[[Path], None]]:
    """Runs Train in a job's folder."""
    import torch

    from sashiko.steps import train

    threads = torch.get_num_threads()

    def run(root: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["train"])
            patch.setenv("OMP_NUM_THREADS", "1")
            patch.setenv("OPT_ML", str(root))
            train.main()

    yield run
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(threads)


@pytest.fixture
def compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Compiled:
    """Compiles a model; gives the artifact."""
    import compile_model

    def run(model: Path, *, base: Path | None = None, **changes: Any) -> Path:
        root = job(tmp_path / "compile", model, **changes)
        if base:
            (root / "processing/input/base").symlink_to(base)
        monkeypatch.setenv("OPT_ML", str(root))
        monkeypatch.setenv("SERVING_IMAGE", "serving:1")
        compile_model.main()
        return root / "processing/output/artifact/model.tar.gz"

    return run
