"""Drives an artifact by the serving image's toolkit: run by `test_toolkit.py` in `.venv-serving`.

    python drive_toolkit.py MODEL_DIR < requests.json > responses.json

The model server's own loader and service wrap the toolkit's handler, as in the image; only the HTTP
front end, which is Java, is left out. Requests: `[{"body", "content_type"}]`; responses:
`[{"code", "message", "body"}]`, with the HTTP code that the front end would send.
"""

import json
import struct
import sys

from mms.model_loader import MmsModelLoader
from sagemaker_huggingface_inference_toolkit import handler_service


class Reader:
    """Reads the model server's length-prefixed reply."""

    def __init__(self, content):
        self.content = content
        self.place = 0

    def number(self):
        (value,) = struct.unpack_from("!i", self.content, self.place)
        self.place += 4
        return value

    def text(self):
        length = self.number()
        self.place += length
        return bytes(self.content[self.place - length : self.place]).decode()


def request(body, content_type):
    """Builds a batch of one, as it comes from the front end."""
    parameter = {"name": "body", "value": body.encode(), "contentType": content_type}
    headers = [{"name": b"Content-Type", "value": content_type.encode()}]
    return [{"requestId": b"1", "parameters": [parameter], "headers": headers}]


def response(content):
    """Reads the reply to a batch of one."""
    reader = Reader(content)
    reader.number()
    message = reader.text()
    reader.text()  # request id
    content_type = reader.text()
    code = reader.number()
    reader.text()  # reason phrase
    for _ in range(reader.number()):
        reader.text(), reader.text()  # a header
    return {"code": code, "message": message, "content_type": content_type, "body": reader.text()}


def main():
    """Loads the artifact once and answers every request."""
    # The toolkit asks torch, which is not installed here, whether there is a GPU, and nothing else.
    handler_service._is_gpu_available = lambda: False
    service = MmsModelLoader().load("model", sys.argv[1], handler_service.__name__, None, 1)
    replies = [
        response(service.predict(request(item["body"], item["content_type"])))
        for item in json.load(sys.stdin)
    ]
    json.dump({"python": sys.version_info[:2], "replies": replies}, sys.stdout)


if __name__ == "__main__":
    main()
