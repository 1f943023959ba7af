"""Back ends of JSON services, in front of moto: operations that it lacks or checks too little."""

import io
import json
from collections.abc import Callable, Iterable
from typing import Any, Protocol

Wsgi = Callable[..., Iterable[bytes]]
Handler = Callable[[dict[str, Any]], dict[str, Any] | None]

# Access key, region, `service:Operation` and body of a request.
Guard = Callable[[str, str, str, bytes], None]


class ServiceError(Exception):
    """A service's error response."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Service(Protocol):
    """A back end: the operations that it takes over, by their names in the service's API."""

    operations: dict[str, Handler]


class Front:
    """Sends a request to a back end of our own if one takes its operation, to moto otherwise."""

    def __init__(
        self, moto: Wsgi, services: dict[str, Callable[[str], Service]], refuse: Guard
    ) -> None:
        """Wraps moto's application.

        Args:
            moto: the application.
            services: a service's signing name -> its back end in a region.
            refuse: raises ServiceError if a caller may not do what it asks of one of them.
        """
        self._moto = moto
        self._services = services
        self._refuse = refuse

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        """Answers one request."""
        # AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, ...
        scope = environ.get("HTTP_AUTHORIZATION", "").partition(",")[0].split("/")
        if len(scope) != 5 or scope[3] not in self._services:
            return self._moto(environ, start_response)
        target = environ.get("HTTP_X_AMZ_TARGET") or environ.get("PATH_INFO", "")
        operation = target.replace("/", ".").rsplit(".", 1)[-1]
        handler = self._services[scope[3]](scope[2]).operations.get(operation)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = [("Content-Type", "application/x-amz-json-1.1")]
        try:
            key = scope[0].rpartition("=")[2]
            self._refuse(key, scope[2], f"{scope[3]}:{operation}", body)
            if handler is None:
                environ["wsgi.input"] = io.BytesIO(body)
                return self._moto(environ, start_response)
            answer, status = handler(json.loads(body or b"{}")) or {}, "200 OK"
        except ServiceError as error:
            answer, status = {"__type": error.code, "Message": str(error)}, "400 Bad Request"
            answer["message"] = str(error)
            headers.append(("x-amzn-errortype", error.code))
        start_response(status, headers)
        return [json.dumps(answer).encode()]
