"""Executes a deployed state machine as Step Functions does, on answers that a test gives."""

import json
from collections.abc import Mapping
from typing import Any

from tests.infra.step_functions import Answer, account
from verification.deploy.parts import ACCOUNT
from verification.deploy.process import REGION, Emulator


def execute(
    emulator: Emulator, machine: str, event: Mapping[str, Any], answers: Mapping[str, Answer]
) -> list[tuple[str, Mapping[str, Any]]]:
    """Executes a machine of the emulator, which only keeps it; returns operation and arguments.

    The calls do not reach the emulator: a test makes those again that are to change it.
    """
    arn = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{machine}"
    machines = emulator.client("stepfunctions")
    definition = machines.describe_state_machine(stateMachineArn=arn)["definition"]
    with account() as fake:
        fake.answers.update(answers)
        outcome = fake.run(json.loads(definition), event)
    assert outcome.status == "SUCCEEDED", outcome
    return fake.calls
