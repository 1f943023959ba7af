"""The adapter of target gpu-vllm: what vLLM's server calls for `/invocations`.

AWS's vLLM image takes a function of a model's own files for it, by `CUSTOM_SCRIPT_FILENAME` and
`CUSTOM_FASTAPI_INVOCATION_HANDLER` ("Customize Handlers" in github.com/aws/
model-hosting-container-standards, docs/sagemaker/02_customize_handlers.md). It answers by the same
handler as every other target; `/ping` stays vLLM's own.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

_CODE = Path(__file__).resolve().parent
sys.path.insert(0, str(_CODE))  # the handler's files import each other as siblings

import inference  # noqa: E402 - after the path is set
from payload import CONTENT_TYPE  # noqa: E402 - after the path is set

if TYPE_CHECKING:
    from starlette.requests import Request


class _Context:
    """What the handler reads of a model server, and the status that it sets."""

    def __init__(self) -> None:
        self.system_properties: dict[str, Any] = {}
        self.status = 200

    def set_response_status(self, code: int, phrase: str) -> None:  # noqa: ARG002 - as model servers call it
        self.status = code


_MODEL = inference.model_fn(str(_CODE.parent), _Context())


async def invoke(request: "Request") -> Response:
    """Answers a request: 200, 400 with the reason, or 500, as other targets do."""
    body = await request.body()
    headers = request.headers
    # In a thread: the handler waits for vLLM, which answers in this event loop.
    status, text = await run_in_threadpool(
        _answer, body, headers.get("content-type"), headers.get("accept")
    )
    return Response(text, status, media_type=CONTENT_TYPE)


def _answer(body: bytes, content_type: "str | None", accept: "str | None") -> "tuple[int, str]":
    context = _Context()
    try:
        text = inference.transform_fn(_MODEL, body, content_type, accept, context)
    except inference.BadRequestError as error:
        return 400, json.dumps({"error": str(error)})
    return context.status, text
