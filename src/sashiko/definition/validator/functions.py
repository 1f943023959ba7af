"""A Lambda step: what the API says of its metadata, and what Lambda says of a function's ARN.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_LambdaStepMetadata.html: an ARN of up
to 256 characters, up to 50 output parameters.
"""

from collections import Counter
from collections.abc import Iterator

import regex

from sashiko.definition.model import Step

# FunctionArn of Lambda's API, with a version or an alias or without.
_ARN = regex.compile(
    r"arn:(aws[a-zA-Z-]*):lambda:[a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\d:\d{12}"
    r":function:[a-zA-Z0-9-_]+(:(\$LATEST|[a-zA-Z0-9-_]+))?"
)
_LONGEST_ARN = 256
_MOST_OUTPUTS = 50


def check_function(step: Step) -> Iterator[str]:
    """Yields what is wrong with the function that a Lambda step calls, and with what it returns.

    Args:
        step: a Lambda step.
    """
    where = f"step `{step.name}`"
    if not _ARN.fullmatch(step.function) or len(step.function) > _LONGEST_ARN:
        yield (
            f"{where}, FunctionArn: `{step.function}` is no function's ARN; expected "
            "arn:aws:lambda:<region>:<account>:function:<name>"
        )
    if len(step.returned) > _MOST_OUTPUTS:
        yield f"{where}, OutputParameters: {len(step.returned)}; allowed: up to {_MOST_OUTPUTS}"
    for name, times in Counter(item.name for item in step.returned).items():
        if times > 1:
            yield f"{where}, OutputParameters: two of them are named `{name}`"
    if step.property_files:
        yield f"{where}, PropertyFiles: a Lambda step has none; read OutputParameters instead"
