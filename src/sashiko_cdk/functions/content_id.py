"""Construct ids from what is inside: for resources that CloudFormation can only replace."""

import hashlib
import json

from aws_cdk import Stack
from constructs import Construct


def content_id(scope: Construct, word: str, *content: object) -> str:
    """Returns `word` and a digest of `content`.

    A create-only resource under such an id is never replaced: another content is another resource,
    and what stays the same is left alone wherever it stands in the code.

    Args:
        scope: where the construct goes.
        word: tells people what it is.
        content: all properties of the resource, CDK's property objects or plain values.
    """
    plain = Stack.of(scope).resolve(list(content))
    text = json.dumps(plain, sort_keys=True)
    return f"{word}{hashlib.sha256(text.encode()).hexdigest()[:12]}"
