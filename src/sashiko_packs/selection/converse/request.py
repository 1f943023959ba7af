"""A request to Converse: the prompt around a row's text, as one JSON body.

Fields: "Converse", Amazon Bedrock API Reference,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html. Structured
output: https://docs.aws.amazon.com/bedrock/latest/userguide/structured-output.html.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sashiko.base.files import canonical_json, sha256_bytes
from sashiko.settings.causal import TEXT_PLACEHOLDER
from sashiko_packs.selection.file import BedrockCandidate

FIELD = "answer"  # of the structured output
TOOL = "give_answer"
# A token is at least one byte of the text, in every tokenizer that we know of. What a provider puts
# around it (its chat template, a prompt for tools) is not in the body: Anthropic lists up to 530
# tokens, https://platform.claude.com/docs/en/docs/tool-use-pricing-and-tokens.
_AROUND = 1_000


@dataclass(frozen=True)
class Example:
    """A training row in a few-shot prompt."""

    text: str
    answer: str  # what the prompt calls its label


@dataclass(frozen=True)
class Request:
    """One request."""

    model: str  # id, as Converse takes it
    body: dict[str, Any]  # all else that Converse takes

    @cached_property
    def key(self) -> str:
        """The digest of model and body, by which the answer is recorded."""
        return sha256_bytes(canonical_json({"modelId": self.model, "body": self.body}))

    @property
    def most_input_tokens(self) -> int:
        """A bound on the input's tokens, before the service has counted them."""
        return len(json.dumps(self.body, ensure_ascii=False).encode()) + _AROUND

    @property
    def most_output_tokens(self) -> int:
        """A bound on the answer's tokens."""
        return int(self.body["inferenceConfig"]["maxTokens"])


def make_request(
    candidate: BedrockCandidate, text: str, examples: Sequence[Example] = ()
) -> Request:
    """Makes the request for a text.

    Args:
        candidate: model, prompt and form of the output.
        text: of a row, by the recipe's template; nothing else of the row is sent.
        examples: of the training split, before the question.
    """
    prompt = candidate.prompt
    parts = [
        f"{prompt.template.replace(TEXT_PLACEHOLDER, example.text)}\n{example.answer}"
        for example in examples
    ]
    parts.append(prompt.template.replace(TEXT_PLACEHOLDER, text))
    limits: dict[str, Any] = {"maxTokens": candidate.max_tokens}
    if candidate.temperature is not None:
        limits["temperature"] = candidate.temperature
    body: dict[str, Any] = {
        "messages": [{"role": "user", "content": [{"text": "\n\n".join(parts)}]}],
        "inferenceConfig": limits,
    }
    if candidate.additional_fields:
        body["additionalModelRequestFields"] = candidate.additional_fields
    if prompt.system:
        body["system"] = [{"text": prompt.system}]
    schema = _schema(candidate)
    if candidate.output == "json_schema":
        definition = {"name": FIELD, "schema": json.dumps(schema, sort_keys=True)}
        body["outputConfig"] = {
            "textFormat": {"type": "json_schema", "structure": {"jsonSchema": definition}}
        }
    elif candidate.output == "tool":
        tool = {
            "name": TOOL,
            "description": "Gives the answer to the question.",
            "inputSchema": {"json": schema},
        }
        body["toolConfig"] = {
            "tools": [{"toolSpec": tool}],
            "toolChoice": {"tool": {"name": TOOL}},
        }
    return Request(model=candidate.model, body=body)


def _schema(candidate: BedrockCandidate) -> dict[str, Any]:
    answers = sorted(candidate.prompt.answers.values())
    return {
        "type": "object",
        "properties": {FIELD: {"type": "string", "enum": answers}},
        "required": [FIELD],
        "additionalProperties": False,
    }
