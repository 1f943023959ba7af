"""vLLM's server in AWS's image, as far as an artifact sees it: `/classify`, and our `/invocations`.

    python tests/e2e/serving/vllm_server.py <folder of an unpacked artifact>

`/classify` answers as vLLM's documentation says, with the probabilities that transformers itself
computes: each prompt alone, its last token, the head in float32, softmax. Both paths are answered
in one event loop, as there. Prints its port.
"""

import importlib.util
import json
import socket
import sys
import types
from pathlib import Path
from typing import Any

import torch
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from transformers import AutoModelForSequenceClassification

LONGEST = 512  # SM_VLLM_MAX_MODEL_LEN


class Classifier:
    def __init__(self, folder: Path) -> None:
        dtype = json.loads((folder / "config.json").read_text())["dtype"]
        self.model: Any = AutoModelForSequenceClassification.from_pretrained(
            folder, dtype=getattr(torch, dtype), attn_implementation="eager"
        ).eval()
        self.model.score.float()
        self.broken = ""

    @torch.inference_mode()
    def probabilities(self, prompt: list[int]) -> list[float]:
        states = self.model.model(torch.tensor([prompt])).last_hidden_state[0, -1]
        probabilities: list[float] = self.model.score(states.float()).softmax(-1).tolist()
        return probabilities

    async def classify(self, request: Request) -> JSONResponse:
        body = await request.json()
        prompts = body["input"]
        if self.broken == "status" or not all(0 < len(prompt) <= LONGEST for prompt in prompts):
            return JSONResponse({"error": {"message": f"bad {body}"}}, 400)
        answers = [await run_in_threadpool(self.probabilities, prompt) for prompt in prompts]
        count = 1 if self.broken == "softmax" else None
        data = [
            {"index": index, "label": "x", "probs": one[:count], "num_classes": len(one)}
            for index, one in enumerate(answers)
        ]
        return JSONResponse({"id": "classify-0", "object": "list", "data": data[::-1]})

    async def fail(self, request: Request) -> JSONResponse:
        self.broken = request.path_params["how"]
        return JSONResponse({})


def main() -> None:
    artifact = Path(sys.argv[1])
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    file = artifact / "serving.json"
    bundle = json.loads(file.read_text())
    assert bundle["runtime"]["url"] == "http://127.0.0.1:8080/classify"
    bundle["runtime"]["url"] = f"http://127.0.0.1:{port}/classify"
    file.write_text(json.dumps(bundle))
    spec = importlib.util.spec_from_file_location("model", artifact / "code" / "vllm_handler.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["vllm"] = types.ModuleType("vllm")
    handler = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(handler)
    classifier = Classifier(artifact / "eager")
    app = Starlette(
        routes=[
            Route("/classify", classifier.classify, methods=["POST"]),
            Route("/invocations", handler.invoke, methods=["POST"]),
            Route("/break/{how}", classifier.fail, methods=["POST"]),
        ]
    )
    print(port, flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])


if __name__ == "__main__":
    main()
