"""Construct ids from a content hash, for resources that CloudFormation can only replace."""

import hashlib
import json

from aws_cdk import Stack
from constructs import Construct


def content_id(scope: Construct, word: str, *content: object) -> str:
    """Returns `word` and a digest of `content`.

    A create-only resource under such an id is never replaced: changed content is a new resource,
    and unchanged content keeps its id wherever the code moves.

    Args:
        scope: where the construct goes.
        word: a readable start of the id.
        content: all properties of the resource, CDK's property objects or plain values.
    """
    resolved = Stack.of(scope).resolve(list(content))
    text = json.dumps(resolved, sort_keys=True)
    return f"{word}{hashlib.sha256(text.encode()).hexdigest()[:12]}"
