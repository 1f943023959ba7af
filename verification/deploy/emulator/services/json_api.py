"""Back ends of JSON services, in front of moto: operations that it lacks or checks too little."""

import io
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, runtime_checkable

# Arguments of InvokeEndpointAsync that are headers.
_OF_INVOCATIONS = (
    "Accept", "ContentType", "Filename", "InferenceId", "InputLocation", "RequestTTLSeconds",
)  # fmt: skip
Wsgi = Callable[..., Iterable[bytes]]
Handler = Callable[[dict[str, Any]], dict[str, Any] | None]

HEADERS = "__headers"  # in an operation's answer: what of it is not in the body

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


@runtime_checkable
class RestService(Service, Protocol):
    """A back end whose operations are methods and paths."""

    def route(self, method: str, path: str, query: str) -> tuple[str, dict[str, str]]:
        """Returns the operation of a request, and what its path and query say."""


class Front:
    """Sends a request to a back end of our own if one takes its operation, to moto otherwise."""

    def __init__(
        self, moto: Wsgi, services: dict[str, Callable[[str], Service]], refuse: Guard
    ) -> None:
        """Wraps moto's application; `services` are back ends by signing name and region.

        `refuse` raises ServiceError if a caller may not do what it asks of one of them.
        """
        self._moto = moto
        self._services = services
        self._refuse = refuse

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        # AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, ...
        scope = environ.get("HTTP_AUTHORIZATION", "").partition(",")[0].split("/")
        if len(scope) != 5 or scope[3] not in self._services:
            return self._moto(environ, start_response)
        service = self._services[scope[3]](scope[2])
        operation, given = _operation(service, environ)
        handler = service.operations.get(operation)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = [("Content-Type", "application/x-amz-json-1.1")]
        try:
            key = scope[0].rpartition("=")[2]
            self._refuse(key, scope[2], f"{scope[3]}:{operation}", body)
            if handler is None:
                environ["wsgi.input"] = io.BytesIO(body)
                return self._moto(environ, start_response)
            answer, status = handler(given | json.loads(body or b"{}")) or {}, "200 OK"
            headers += answer.pop(HEADERS, {}).items()
        except ServiceError as error:
            answer, status = {"__type": error.code, "Message": str(error)}, "400 Bad Request"
            answer["message"] = str(error)
            headers.append(("x-amzn-errortype", error.code))
        start_response(status, headers)
        return [json.dumps(answer).encode()]


def _operation(service: Service, environ: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Returns a request's operation, and what of its arguments is in path and query."""
    path = environ.get("PATH_INFO", "")
    if isinstance(service, RestService):
        return service.route(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""))
    if path.startswith("/endpoints/"):  # SageMaker's runtime, which signs as SageMaker does
        _, _, name, operation = path.split("/")
        return operation, {"EndpointName": name, **dict(_sagemaker_headers(environ))}
    target = environ.get("HTTP_X_AMZ_TARGET") or path
    return target.replace("/", ".").rsplit(".", 1)[-1], {}


def _sagemaker_headers(environ: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields the arguments of an invocation, by their names in the API."""
    prefix = "HTTP_X_AMZN_SAGEMAKER_"
    names = {name.upper(): name for name in _OF_INVOCATIONS}
    for key, value in environ.items():
        if key.startswith(prefix):
            name = key.removeprefix(prefix).replace("_", "")
            yield names.get(name, name), value
