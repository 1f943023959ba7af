"""What a Lambda function ships with: its module, what that imports, and nothing to install."""

import pytest

from sashiko_cdk.functions import python_function


def _shipped(folder, module):
    python_function.write_code(module, folder)
    return {str(path.relative_to(folder)) for path in folder.rglob("*.py")}


def test_a_function_has_its_module_and_its_packages(tmp_path):
    assert _shipped(tmp_path, "sashiko.base.custom_resource") == {
        "sashiko/__init__.py",
        "sashiko/base/__init__.py",
        "sashiko/base/custom_resource.py",
    }


def test_the_janitor_deletes_as_the_check_itself_does(tmp_path):
    assert _shipped(tmp_path, "sashiko.functions.janitor_handler") == {
        "sashiko/__init__.py",
        "sashiko/base/__init__.py",
        "sashiko/steps/__init__.py",
        "sashiko/steps/device/__init__.py",
        "sashiko/steps/device/removal.py",
        "sashiko/base/function_input.py",
        "sashiko/functions/__init__.py",
        "sashiko/functions/janitor_handler.py",
    }


def test_what_a_module_imports_of_ours_comes_along(tmp_path, monkeypatch):
    source = tmp_path / "src/sashiko"
    source.mkdir(parents=True)
    for name, text in {
        "__init__": "",
        "one": "from sashiko.two import thing\n",
        "two": "import json\nimport boto3\n\nthing = 1\n",
        "three": "import yaml\n",
    }.items():
        (source / f"{name}.py").write_text(text)
    monkeypatch.setattr(python_function, "_SOURCE", tmp_path / "src")

    assert _shipped(tmp_path / "one", "sashiko.one") == {
        "sashiko/__init__.py",
        "sashiko/one.py",
        "sashiko/two.py",
    }
    with pytest.raises(ValueError, match=r"three\.py: a Lambda function can't import `yaml`"):
        python_function.write_code("sashiko.three", tmp_path / "three")
