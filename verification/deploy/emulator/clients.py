"""Clients of the emulator's own API that check more than botocore does by itself."""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ParamValidationError
from botocore.model import OperationModel, Shape


def client_maker(url: str) -> Callable[[str, str], Any]:
    """Returns a function that makes a client for a service and a region."""
    session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test")

    @cache
    def make(service: str, region: str) -> Any:
        config = Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "path"},
            read_timeout=900,  # a function runs as a process, on a machine that may be busy
        )
        client = session.client(service, region_name=region, endpoint_url=url, config=config)
        client.meta.events.register(f"before-parameter-build.{service}", _check_enums)
        return client

    return make


def _check_enums(params: dict[str, Any], model: OperationModel, **_: Any) -> None:
    """botocore leaves the check of enumerations to the service; the emulator makes it here."""
    if model.input_shape and (
        invalid := list(_invalid_values(params, model.input_shape, model.name))
    ):
        raise ParamValidationError(report="\n".join(invalid))


def _invalid_values(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if isinstance(value, dict) and shape.type_name == "structure":
        for key, item in value.items():
            if key in shape.members:
                yield from _invalid_values(item, shape.members[key], f"{path}.{key}")
    elif isinstance(value, dict) and shape.type_name == "map":
        for key, item in value.items():
            yield from _invalid_values(item, shape.value, f"{path}.{key}")
    elif isinstance(value, list) and shape.type_name == "list":
        for index, item in enumerate(value):
            yield from _invalid_values(item, shape.member, f"{path}[{index}]")
    elif getattr(shape, "enum", None) and value not in shape.enum:
        yield f"Invalid value for {path}: {value!r}; allowed: {', '.join(shape.enum)}"
