"""moto's server, with a CloudFormation of our own and the back ends that moto lacks.

It patches moto's internals (`services/`): the version is pinned, and a new one is to be read
before it is taken. What the emulator proves and what it does not: docs/emulator.md.
"""

import os
from functools import cache
from importlib.metadata import version

from werkzeug.serving import BaseWSGIServer, make_server

_MOTO = "5.2.5"


def serve(account: str) -> BaseWSGIServer:
    """Returns a server of one account on a free port of 127.0.0.1, not yet serving."""
    if version("moto") != _MOTO:
        raise SystemExit(f"error: the emulator patches moto {_MOTO}, not {version('moto')}")
    os.environ["MOTO_ACCOUNT_ID"] = account
    os.environ["MOTO_IAM_LOAD_MANAGED_POLICIES"] = "true"

    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )

    from .clients import client_maker
    from .services import catalog, cloudformation, endpoint_services, functions, kms, s3, sight
    from .services.bedrock import Bedrock
    from .services.cloudtrail import CloudTrail
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

    @cache
    def bedrock(region: str) -> Bedrock:
        return Bedrock(account, region)

    @cache
    def codebuild(region: str) -> CodeBuild:
        return CodeBuild(account, region, lambda service: clients(service, region))

    @cache
    def glue(region: str) -> Glue:
        return Glue(account, region, lambda service: clients(service, region))

    @cache
    def lake_formation(region: str) -> LakeFormation:
        return LakeFormation(account, lambda service: clients(service, region))

    @cache
    def sagemaker(region: str) -> SageMaker:
        return SageMaker(account, region, lambda service: clients(service, region))

    kms.install()
    s3.install()
    endpoint_services.install()
    catalog.install(lake_formation)
    cloudformation.install(account, clients)
    functions.install(url)
    services = {
        "bedrock": bedrock,
        "cloudtrail": lambda _: CloudTrail(),
        "codebuild": codebuild,
        "glue": glue,
        "lakeformation": lake_formation,
        "sagemaker": sagemaker,
    }
    server.app = Front(moto, services, sight.guard(account, lake_formation))
    return server
