"""What a failed attempt means: whether to send the request again, and whether it may be billed."""

from dataclasses import dataclass

from sashiko.core.aws_calls import Advice, with_advice
from sashiko.errors import InputError
from sashiko.selection.converse.request import Request

# "Converse", errors, Amazon Bedrock API Reference. The service says that it did not run the model.
_NOT_RUN = frozenset(
    {"ThrottlingException", "ServiceUnavailableException", "ModelNotReadyException"}
)
# The model may have run.
_MAY_HAVE_RUN = frozenset(
    {"InternalServerException", "ModelErrorException", "ModelTimeoutException"}
)
_THROTTLED, _SERVER = 429, 500  # HTTP
_ADVICE: Advice = (
    (
        ("on-demand throughput",),
        "this model is reached by an inference profile: give its id, such as us.<model id>, and "
        "allow its geography in `musts.geographies`",
    ),
    (
        ("AccessDenied", "not authorized"),
        "allow `bedrock:InvokeModel`, which Converse needs, on the model in each Region that "
        "serves it and on the inference profile, and enable the model for the account",
    ),
    (("ResourceNotFound",), "the Region has no model of this id: see its page in Bedrock's guide"),
    (
        ("ValidationException",),
        "the model may not know a field: try `output: text` or `temperature: null`",
    ),
    (("credentials",), "sign in: the caller's credentials are used"),
)


@dataclass(frozen=True)
class Failure:
    """A failed attempt."""

    reason: str
    may_be_billed: bool  # the service may have run the model
    final: bool  # sending it again would fail alike


def read_failure(error: Exception) -> Failure:
    """Reads what botocore raised at a request.

    A response that is cut is not JSON, as botocore does not compare its length with the header's,
    or lacks a member.

    Raises:
        Exception: the same, if it is not one of a request: a fault of the code.
    """
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError
    from botocore.parsers import ResponseParserError

    match error:
        case ClientError():
            return _answered(error.response)
        case ConnectionError():  # nothing was sent
            return Failure(str(error), may_be_billed=False, final=False)
        case HTTPClientError() | ResponseParserError():  # a timeout, a connection that was cut
            return Failure(str(error), may_be_billed=True, final=False)
        case KeyError() | TypeError():
            reason = f"the response lacks a member: {error}"
            return Failure(reason, may_be_billed=True, final=False)
        case BotoCoreError():  # no credentials, a parameter that botocore refuses
            return Failure(str(error), may_be_billed=False, final=True)
    raise error


def refusal(request: Request, failure: Failure, *, region: str) -> InputError:
    """Returns the error of a request that the service refuses for good, with the fix."""
    reason = f"Bedrock in {region} refuses {request.model}: {failure.reason}"
    return InputError(with_advice(reason, _ADVICE))


def _answered(response: dict[str, dict[str, object]]) -> Failure:
    """Reads an error of the service."""
    error = response.get("Error", {})
    code, status = error.get("Code", ""), response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    status = status if isinstance(status, int) else _SERVER
    reason = f"{code}: {error.get('Message', 'no message')}"
    if code in _NOT_RUN or status == _THROTTLED:
        return Failure(reason, may_be_billed=False, final=False)
    if code in _MAY_HAVE_RUN or status >= _SERVER:
        return Failure(reason, may_be_billed=True, final=False)
    return Failure(reason, may_be_billed=False, final=True)
