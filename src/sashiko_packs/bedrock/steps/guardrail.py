"""Guardrail: asks the environment's guardrail on Amazon Bedrock about each text of the test split.

    python -m sashiko_packs.bedrock.steps.guardrail --name sashiko-dev-models

Input `test` (Prepare's split); output `outcomes`: by key whether the text was blocked, and by which
version (`sashiko.bias.steps.blocked_texts`). The texts stay in the account and
the Region. This step sees no facet: JudgeBias joins the outcomes with them, by key.
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from sashiko.base.aws_calls import Advice, job_session, translate_errors
from sashiko.base.bedrock_calls import GuardrailVersion, ask, newest_guardrail
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.bias.steps.blocked_texts import Blocker, write_outcomes
from sashiko.steps.entry import run_step
from sashiko.training.examples import read_split

_TRY = (
    "read texts that were blocked (their keys are in the output `outcomes` of the step Guardrail), "
    "weaken the filter in src/sashiko_packs/bedrock/constructs.py, or serve from "
    "an endpoint"
)
_CONCURRENCY = 8
_REPORT_EVERY = 500
_ADVICE: Advice = (
    (("AccessDenied", "not authorized"), "deploy the stack Bedrock, which lets this role ask"),
    (
        ("ValidationException", "ServiceQuotaExceeded"),
        "a text may be longer than a guardrail reads: shorten it in the recipe's text.template",
    ),
)


def main() -> None:
    """Writes the outcomes."""
    from botocore.config import Config

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True, help="of the guardrail")
    name = parser.parse_args().name
    session = job_session("the guardrail")
    with translate_errors(f"look up the guardrail {name}", advice=_ADVICE):
        guardrail = newest_guardrail(session.client("bedrock"), name)
    # No retries of its own: `ask` has them.
    config = Config(
        retries={"total_max_attempts": 1},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=_CONCURRENCY,
    )
    client = session.client("bedrock-runtime", config=config)
    split = read_split(processing_input("test"))
    blocked = _ask_all(client, guardrail, split["text"].to_pylist())
    table = split.select(["key", "label"]).append_column("blocked", pa.array(blocked, pa.int64()))
    blocker = Blocker(kind="guardrail", name=str(guardrail), advice=_TRY)
    write_outcomes(table, blocker, processing_output("outcomes"))
    print(f"{guardrail}: {sum(blocked):,} of {len(blocked):,} texts are blocked", file=sys.stderr)


def _ask_all(client: Any, guardrail: GuardrailVersion, texts: list[str]) -> list[int]:
    outcomes = []
    with ThreadPoolExecutor(max_workers=_CONCURRENCY) as pool:
        try:
            for outcome in pool.map(lambda text: _is_blocked(client, guardrail, text), texts):
                outcomes.append(int(outcome))
                if len(outcomes) % _REPORT_EVERY == 0:
                    print(f"{len(outcomes):,} of {len(texts):,} texts", file=sys.stderr)
        finally:
            pool.shutdown(cancel_futures=True)
    return outcomes


def _is_blocked(client: Any, guardrail: GuardrailVersion, text: str) -> bool:
    def apply() -> str:
        answer = client.apply_guardrail(
            guardrailIdentifier=guardrail.id,
            guardrailVersion=guardrail.version,
            source="INPUT",
            content=[{"text": {"text": text}}],
        )
        return str(answer["action"])

    return ask(apply, f"ask {guardrail}", advice=_ADVICE) == "GUARDRAIL_INTERVENED"


if __name__ == "__main__":
    run_step(main)
