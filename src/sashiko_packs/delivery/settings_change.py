"""The change of an environment's settings file that serves another version."""

from pathlib import Path
from typing import Any

from sashiko.base.yaml_edit import set_in_section
from sashiko.base.yaml_text import YamlError, parse_yaml
from sashiko.errors import InputError


def settings_file(environment: str) -> Path:
    """Returns an environment's own file, relative to the project."""
    return Path("config") / f"{environment}.yaml"


def serve(text: str, arn: str, *, file: Path) -> str:
    """Returns the file's text with the version set, and nothing else changed.

    Raises:
        InputError: if the section `serving` is written in a way that no command can change.
    """
    try:
        return set_in_section(text, "serving", {"enabled": "true", "model_package_arn": arn})
    except YamlError as error:
        raise InputError(
            f"{file}: key `serving`: {error}; write it as `serving: {{enabled: true, "
            f"model_package_arn: {arn}}}` yourself"
        ) from error


def named_version(text: str) -> str | None:
    """Returns the ARN that a file's text serves; None if it serves none, or is not valid."""
    try:
        settings: Any = parse_yaml(text)
    except YamlError:
        return None
    serving = settings.get("serving") if isinstance(settings, dict) else None
    if not isinstance(serving, dict) or serving.get("enabled") is not True:
        return None
    arn = serving.get("model_package_arn")
    return arn if isinstance(arn, str) else None


def version_number(arn: str) -> int:
    """Returns the number at the end of a model package's ARN."""
    return int(arn.rpartition("/")[2])
