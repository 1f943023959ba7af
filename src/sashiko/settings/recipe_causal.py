"""A recipe's keys for causal LMs: the prompt, and the LoRA adapter."""

import json
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from sashiko.base.yaml_models import Frozen

TEXT_PLACEHOLDER = "{text}"
# "HyperParameters", CreateTrainingJob, Amazon SageMaker AI API Reference: characters of one value.
LONGEST_HYPERPARAMETER = 2500

Answer = Annotated[str, Field(min_length=1, max_length=40)]


class PromptSection(Frozen):
    """The question that a causal LM answers; its score is the probability of the positive answer.

    The chat template of the model's tokenizer turns the two messages into tokens, once.
    """

    system: str = Field(
        "", description="the system message; empty: that of the chat template, if it has one"
    )
    template: str = Field(
        description="the user's message; {text} stands for the row's text (text.template), once"
    )
    answers: dict[str, Answer] = Field(
        min_length=2,
        max_length=2,
        description="label's value in the contract -> answer of one token: {late: yes, paid: no}",
    )

    @field_validator("template")
    @classmethod
    def _check_placeholder(cls, value: str) -> str:
        count = value.count(TEXT_PLACEHOLDER)
        if count != 1:
            raise ValueError(
                f"{TEXT_PLACEHOLDER}, which stands for the row's text, must occur once; it occurs "
                f"{count} times"
            )
        return value

    @model_validator(mode="after")
    def _check_answers_and_size(self) -> "PromptSection":
        if len(set(self.answers.values())) < len(self.answers):
            raise ValueError("`answers`: the two labels need different answers")
        size = len(json.dumps(self.model_dump()))
        if size > LONGEST_HYPERPARAMETER:
            raise ValueError(
                f"it has {size:,} characters as JSON, and SageMaker's hyperparameters have room "
                f"for {LONGEST_HYPERPARAMETER:,}: shorten `system` or `template`"
            )
        return self


class LoraSection(Frozen):
    """LoRA: low-rank matrices that are trained beside the frozen weights of the base model.

    Source: E. Hu et al., LoRA: Low-Rank Adaptation of Large Language Models (ICLR 2022).
    """

    rank: int = Field(8, ge=1, le=256)
    alpha: int = Field(16, ge=1, description="the matrices' product counts alpha / rank")
    target_modules: tuple[str, ...] = Field(
        ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
        min_length=1,
        description="names of the linear layers that get an adapter, in each adapted layer",
    )
    layers: int | None = Field(
        None, ge=1, description="adapt this many of the top layers; null: all of them"
    )
