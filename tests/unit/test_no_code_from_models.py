"""No way of loading a model runs code that came with it: the bomb below never goes off.

A bomb is what an attacker would leave: a pickle, or a module that the configuration names. When
its code runs, it makes a file.
"""

import ast
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from sashiko.base.files import sha256_bytes, sha256_file
from sashiko.errors import InputError
from sashiko.explain.attribution import ExplainedModel
from sashiko.pipeline.staging import serving_code
from sashiko.serving.artifact import open_artifact
from sashiko.serving.compile_lock import CompileLock
from sashiko.serving.container.pack import pack
from sashiko.settings.recipe_train import Hyperparameters
from sashiko.steps import register
from sashiko.training.encoder import load_classifier, load_tokenizer
from tests.e2e.serving.tiny_artifact import SERVING, build_artifact
from tests.unit.explain.planted import save_model
from tests.unit.steps.evaluate_job import lay_out, run_evaluate

ROOT = Path(__file__).parents[2]
SETTINGS = Hyperparameters(max_length=32, truncate=False, frozen_layers=0)


class _Pickled:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.marker),)


@pytest.fixture
def bomb(tmp_path: Path) -> Iterator[SimpleNamespace]:
    """The pickle and the module; the test fails if either of them ran."""
    marker = tmp_path / "the code ran"
    yield SimpleNamespace(
        marker=marker,
        pickle=pickle.dumps(_Pickled(marker)),
        module=f"import os\nos.mkdir({str(marker)!r})\nclass Config: pass\nclass Model: pass\n",
    )
    assert not marker.exists()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    save_model(folder)
    return folder


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return shutil.copytree(good, tmp_path / "model")


def _train(folder: Path) -> None:
    load_tokenizer(folder)
    load_classifier(folder, labels=("no", "yes"), hyperparameters=SETTINGS, attention="eager")


def _compile(folder: Path) -> None:
    """Runs Compile on the output of a training job, as its image does."""
    root = folder.parent / "compile"
    inputs = root / "processing" / "input"
    (inputs / "model").mkdir(parents=True)
    (inputs / "config").mkdir()
    pack(folder, inputs / "model" / "model.tar.gz")
    (inputs / "config" / "compile.json").write_text("{}")
    (inputs / "config" / "text.json").write_text("{}")
    (inputs / "code").mkdir()
    (inputs / "code" / "target.json").write_bytes(serving_code("cpu")["target.json"])
    from compile_model import Job, compile_job

    compile_job(Job(root))


def _serve(folder: Path) -> None:
    """Loads an accelerator's artifact, as the handler does where there is none."""
    from eager_backend import EagerBackend

    EagerBackend(folder, device="cpu")


LOADERS = {"train": _train, "compile": _compile, "explain": ExplainedModel, "serve": _serve}


@pytest.fixture(params=LOADERS)
def load(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    monkeypatch.syspath_prepend(str(SERVING))
    # What asks whether to trust code would otherwise wait for an answer.
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    return LOADERS[request.param]


def _refused(load: Callable[[Path], None], folder: Path, message: str) -> None:
    with pytest.raises(Exception, match=message) as caught:
        load(folder)
    assert type(caught.value).__name__ in ("InputError", "CompileError")


def test_the_bombs_go_off_where_they_are_let(bomb: SimpleNamespace) -> None:
    pickle.loads(bomb.pickle)  # noqa: S301 - that is the point
    bomb.marker.rmdir()
    exec(bomb.module)  # noqa: S102 - as above
    bomb.marker.rmdir()


@pytest.mark.parametrize("load", ["train", "explain", "serve"], indirect=True)
def test_a_good_model_loads(load: Callable[[Path], None], folder: Path) -> None:
    load(folder)


def test_pickled_weights_are_refused(
    load: Callable[[Path], None], folder: Path, bomb: SimpleNamespace
) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(bomb.pickle)
    _refused(load, folder, r"has no \.safetensors file: pickled weights can run code")


def test_a_pickle_called_safetensors_is_refused(
    load: Callable[[Path], None], folder: Path, bomb: SimpleNamespace
) -> None:
    (folder / "model.safetensors").write_bytes(bomb.pickle)
    _refused(load, folder, "cannot be (read|loaded): ")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "../model/x.safetensors", "x.safetensors"])
def test_shards_that_are_no_safetensors_are_refused(
    load: Callable[[Path], None], folder: Path, bomb: SimpleNamespace, name: str
) -> None:
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    (folder / Path(name).name).write_bytes(bomb.pickle)
    index = {"metadata": {}, "weight_map": {"classifier.weight": name}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    _refused(load, folder, "cannot be (read|loaded): |expected .safetensors files beside it")


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize("model_type", ["bert", "an-architecture-of-its-own"])
def test_code_that_the_configuration_names_is_refused(
    load: Callable[[Path], None], folder: Path, bomb: SimpleNamespace, *, model_type: str, file: str
) -> None:
    (folder / "modeling_own.py").write_text(bomb.module)
    names = {
        "AutoConfig": "modeling_own.Config",
        "AutoModelForSequenceClassification": "modeling_own.Model",
        "AutoTokenizer": ["modeling_own.Model", "modeling_own.Model"],
    }
    for changed in {file, "config.json"}:
        content = json.loads((folder / changed).read_text())
        more = {"auto_map": names} if changed == file else {}
        (folder / changed).write_text(json.dumps(content | {"model_type": model_type} | more))
    _refused(load, folder, rf"{file} names its own code \(auto_map\)")


def _archive(folder: Path, **members: bytes) -> Path:
    """An artifact of Compile with members of an attacker's beside its own."""
    archive = build_artifact(folder)
    for name, content in members.items():
        (folder / "artifact" / name.replace("__", ".")).write_bytes(content)
    pack(folder / "artifact", archive)
    return archive


@pytest.mark.parametrize("name", ["weights__pkl", "weights__bin", "model__safetensors"])
def test_an_artifact_that_holds_a_pickle_is_not_opened(
    tmp_path: Path, bomb: SimpleNamespace, name: str
) -> None:
    archive = _archive(tmp_path / "built", **{name: bomb.pickle})
    refusal = pytest.raises(InputError, match=r"is a pickle, which runs code when it is loaded")
    with refusal, open_artifact(archive, threshold=0.5):
        pass


def test_evaluate_and_register_refuse_it(
    tmp_path: Path, bomb: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = _archive(tmp_path / "built", weights__bin=bomb.pickle)
    lay_out(tmp_path / "job", artifact=archive)
    monkeypatch.setenv("OPT_ML", str(tmp_path / "job"))
    monkeypatch.setattr(sys, "argv", ["step"])
    with pytest.raises(InputError, match=r"weights\.bin is a pickle"):
        run_evaluate()
    with tarfile.open(archive) as tar:
        files = {
            member.name: sha256_bytes(content.read())
            for member in tar
            if (content := tar.extractfile(member)) is not None
        }
    # Even where the compile lock, made by an attacker too, names the file.
    lock = CompileLock.model_construct(artifact=files, artifact_sha256=sha256_file(archive))
    with pytest.raises(InputError, match=r"weights\.bin is a pickle"):
        register.check_artifact(lock, [])


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "import torch\n\nmodel = torch.load('x')",
        "import numpy as np\n\nrows = np.load('x', allow_pickle=True)",
        "import pandas as pd\n\nrows = pd.read_pickle('x')",
        "from torch.hub import load",
    ],
)
def test_code_that_loads_a_pickle_does_not_pass_the_lint(line: str) -> None:
    command = ["ruff", "check", "--stdin-filename", "src/sashiko/steps/new.py", "-"]
    checked = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=ROOT,
        input=f"{line}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "TID251" in checked.stdout


def test_each_loading_of_a_model_says_that_its_code_is_not_to_be_trusted() -> None:
    """Left out, transformers asks the person at the terminal."""
    calls = 0
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if called and node.func.attr == "from_pretrained":
                given = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert given.get("trust_remote_code") == "False", f"{path}:{node.lineno}"
                assert given.get("local_files_only") == "True", f"{path}:{node.lineno}"
                calls += 1
    assert calls > 0
