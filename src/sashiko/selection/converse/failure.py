"""The error of a request that Converse refuses for good, with the fix."""

from sashiko.core.aws_calls import Advice, with_advice
from sashiko.core.bedrock_calls import Failure
from sashiko.errors import InputError
from sashiko.selection.converse.request import Request

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


def refusal(request: Request, failure: Failure, *, region: str) -> InputError:
    """Returns the error of a request that the service refuses for good, with the fix."""
    reason = f"Bedrock in {region} refuses {request.model}: {failure.reason}"
    return InputError(with_advice(reason, _ADVICE))
