"""Where tests run: in the repository, or in links to it with the samples that a team deleted."""

from pathlib import Path

import pytest

from tests import project_root as module

FILES = {
    "config/base.yaml": "project: sashiko",
    "config/dev.yaml": "account: '1'",
    "contracts/sample.odcs.yaml": "id: sample",
    "recipes/models/tiny.yaml": "model: tiny",
    "recipes/sample.yaml": "name: sample",
    "src/code.py": "",
}
SAMPLES = ("config/dev.yaml", "contracts/sample.odcs.yaml", "recipes/sample.yaml")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        for path in (name, *([f"tests/samples/{name}"] if name in SAMPLES else [])):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
    monkeypatch.setattr(module, "REPOSITORY", tmp_path)
    monkeypatch.setattr(module, "SAMPLES", tmp_path / "tests/samples")
    return tmp_path


def root() -> Path:
    return module.project_root.__wrapped__()


def test_a_repository_with_its_samples_is_taken_as_it_is(repository: Path) -> None:
    (repository / "config/dev.yaml").write_text("# edited\naccount: '1'\n")
    (repository / "recipes/sample.yaml").write_text("name: sample  # upstream's newest")
    assert root() == repository


def test_what_was_deleted_is_there_and_what_was_added_too(repository: Path) -> None:
    (repository / "contracts/sample.odcs.yaml").unlink()
    (repository / "recipes/own.yaml").write_text("name: own")
    folder = root()
    assert folder != repository
    assert (folder / "contracts/sample.odcs.yaml").read_text() == "id: sample"
    assert (folder / "recipes/own.yaml").read_text() == "name: own"
    assert (folder / "recipes/models/tiny.yaml").is_file()
    assert (folder / "src/code.py").is_file()
    assert not (repository / "contracts/sample.odcs.yaml").exists()


def test_an_environments_own_settings_do_not_reach_the_engines_tests(repository: Path) -> None:
    (repository / "config/dev.yaml").write_text("{account: '2', project: acme}")
    folder = root()
    assert (folder / "config/dev.yaml").read_text() == "account: '1'"
    assert (folder / "config/base.yaml").read_text() == "project: sashiko"
