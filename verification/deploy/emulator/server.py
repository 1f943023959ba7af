"""moto's server, with a CloudFormation of our own and the back ends that moto lacks.

It patches moto's internals (`services/`): the version is pinned, and a new one is to be read
before it is taken. What the emulator proves and what it does not: README.md.
"""

import os
from collections.abc import Callable, Iterator
from functools import cache
from importlib.metadata import version
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ParamValidationError
from botocore.model import OperationModel, Shape
from werkzeug.serving import BaseWSGIServer, make_server


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


_MOTO = "5.2.5"


def serve(account: str) -> BaseWSGIServer:
    """Returns a server of one account on a free port of 127.0.0.1, not yet serving."""
    if version("moto") != _MOTO:
        raise SystemExit(f"error: the emulator patches moto {_MOTO}, not {version('moto')}")
    os.environ["MOTO_ACCOUNT_ID"] = account
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

    from moto.athena.models import AthenaBackend
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )

    from .engine import cloudformation
    from .services import athena, functions, patches
    from .services.bedrock import Bedrock
    from .services.codebuild import CodeBuild
    from .services.glue import Glue
    from .services.json_api import Front
    from .services.lake_formation import LakeFormation
    from .services.sagemaker import SageMaker
    from .types import known

    known.load()
    moto = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, moto, threaded=True, request_handler=MotoRequestHandler)
    url = f"http://127.0.0.1:{server.port}"
    clients = client_maker(url)

    def regional(back_end: Any) -> Callable[[str], Any]:
        """Returns a function that makes a service's back end in a region, once."""
        return cache(
            lambda region: back_end(account, region, lambda service: clients(service, region))
        )

    lake_formation = regional(LakeFormation)
    patches.install(lake_formation)
    AthenaBackend.start_query_execution = athena.unloading(clients)
    cloudformation.install(account, clients)
    functions.install(url)
    services = {
        "bedrock": regional(Bedrock),
        "cloudtrail": regional(patches.CloudTrail),
        "codebuild": regional(CodeBuild),
        "glue": regional(Glue),
        "lakeformation": lake_formation,
        "sagemaker": regional(SageMaker),
    }
    server.app = Front(moto, services, patches.guard(account, lake_formation))
    return server
