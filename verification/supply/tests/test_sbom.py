import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.model.bom import Bom

from sashiko.settings.recipe import load_recipe
from verification.supply import sbom
from verification.supply.locks import read_python_lock

ROOT = Path(sbom.__file__).parents[2]


@pytest.fixture(scope="module")
def text() -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return sbom.to_json(sbom.bill_of_materials())


@pytest.fixture(scope="module")
def components(text: str) -> dict[str, dict[str, Any]]:
    return {item["bom-ref"]: item for item in json.loads(text)["components"]}


def test_everything_that_run_installs_is_in_it_with_the_hashes_of_its_lock(
    components: dict[str, dict[str, Any]],
) -> None:
    for package in read_python_lock(ROOT / "requirements/run.txt"):
        component = components[package.purl]
        assert (component["type"], component["scope"]) == ("library", "required")
        (source,) = component["externalReferences"]
        assert {item["content"] for item in source["hashes"]} == set(package.digests) != set()
    assert any(ref.startswith("pkg:pypi/torch@") for ref in components)


def test_what_deploys_is_optional(components: dict[str, dict[str, Any]]) -> None:
    (cdk,) = (item for ref, item in components.items() if ref.startswith("pkg:npm/aws-cdk@"))
    (library,) = (item for ref, item in components.items() if "pypi/aws-cdk-lib@" in ref)
    assert {cdk["scope"], library["scope"]} == {"optional"}
    (digest,) = cdk["externalReferences"][0]["hashes"]
    assert (digest["alg"], len(digest["content"])) == ("SHA-512", 128)


def test_nearly_every_library_says_its_licence(components: dict[str, dict[str, Any]]) -> None:
    libraries = [item for item in components.values() if item["type"] == "library"]
    silent = [item["name"] for item in libraries if not item.get("licenses")]
    assert len(silent) < len(libraries) / 20, silent
    (numpy,) = (item for item in libraries if item["name"] == "numpy")
    assert "BSD-3-Clause" in numpy["licenses"][0]["expression"]


def test_each_recipes_model_and_data_are_in_it_with_the_digests_of_their_download(
    components: dict[str, dict[str, Any]],
) -> None:
    for path in sorted((ROOT / "recipes").glob("*.yaml")):
        recipe = load_recipe(path)
        if recipe.model.pretrained:
            model = components[f"model {recipe.model.name}"]
            assert model["type"] == "machine-learning-model"
            files = {item["name"]: item["hashes"][0]["content"] for item in model["components"]}
            assert files == recipe.model.files
        else:
            assert f"model {recipe.model.name}" not in components
        if recipe.data.sha256:
            data = [item for item in components.values() if item["type"] == "data"]
            digests = [item["hashes"][0]["content"] for item in data if "hashes" in item]
            assert recipe.data.sha256 in digests


def test_it_says_which_library_needs_which(text: str) -> None:
    needs = {item["ref"]: item.get("dependsOn", []) for item in json.loads(text)["dependencies"]}
    (pandas,) = (
        libraries for ref, libraries in needs.items() if ref.startswith("pkg:pypi/pandas@")
    )
    assert any(ref.startswith("pkg:pypi/numpy@") for ref in pandas)


def test_it_is_the_same_bytes_each_time_and_holds_no_time(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert sbom.to_json(sbom.bill_of_materials()) == text
    assert "timestamp" not in text


def test_what_is_no_cyclonedx_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "cyclonedx.output.json.JsonV1Dot6.output_as_string", lambda *_, **__: '{"components": 1}'
    )
    with pytest.raises(sbom.InputError, match=r"is not CycloneDX 1\.6"):
        sbom.to_json(Bom())
