"""`sashiko model bedrock compare`: what Bedrock answers against what the version was judged by."""

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from tokenizers import Tokenizer

from sashiko.base.files import sha256_file, sha256_tree, walk_files
from sashiko.base.parquet import write_table
from sashiko.errors import InputError
from sashiko.serving.compile_lock import CausalLock
from sashiko.serving.container.adapter import base_digests, merge
from sashiko.serving.container.answers import read_answered
from sashiko.serving.container.prompt import Prompt, RowTokenizer, read_prompt
from sashiko_packs.bedrock.checkpoint import write_checkpoint
from sashiko_packs.bedrock.compare import PromptTexts
from sashiko_packs.bedrock.settings import guardrail_name
from tests.packs.bedrock.imported import (
    LENGTH,
    SETTINGS,
    THRESHOLD,
    World,
    logits,
    opened,
    save_artifact,
    write_serving,
)
from tests.packs.bedrock.loopback import Runtime, serving
from tests.unit.training.tiny_job import BAD, GOOD, save_job
from tests.unit.training.tiny_llama import causal_hyperparameters


@dataclass(frozen=True)
class Trained:
    artifact: Path  # what the target gpu serves
    lock: CausalLock  # what the compile lock says of its parts
    prompt: Prompt  # what it reads beside a text


def train_version(root: Path, base: Path) -> Trained:
    """Trains an adapter by the step itself, and writes the artifact with the merged model."""
    job, artifact = root / "job", root / "artifact"
    settings = causal_hyperparameters() | {
        "max_length": str(LENGTH),
        "epochs": "3",
        "learning_rate": "0.02",
        "lora": json.dumps({"rank": 8, "alpha": 16}),
    }
    save_job(job, encoder=base, **settings)
    command = [sys.executable, "-m", "sashiko.steps.train"]
    environment = os.environ | {"OPT_ML": str(job), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    adapter = job / "model"
    artifact.mkdir()
    merge(adapter, base, artifact / "eager")
    prompt = read_prompt(adapter)
    assert prompt is not None
    write_serving(artifact, base, prompt)
    lock = CausalLock(
        base=base_digests(adapter),
        adapter_sha256=sha256_file(adapter / "adapter_model.safetensors"),
        merge_difference=0.0,
        answered=read_answered(adapter),
        answers=prompt.answers,
        chat_template_sha256=prompt.chat_template_sha256,
    )
    return Trained(artifact=artifact, lock=lock, prompt=prompt)


ROWS = 24
TEXTS = [f"the desk was {(GOOD if row % 3 else BAD)[row % 4]} number {row}" for row in range(ROWS)]


@dataclass
class Compared:
    """An imported version, and the service that answers as its model does."""

    world: World  # the account
    runtime: Runtime  # the service
    folder: Path  # the model that was imported
    tokenizer: Any  # the service's own
    answers: tuple[int, int]  # the tokens of the negative and the positive answer
    scores: dict[str, float]  # what each row was judged with
    shift: float = 0.0  # of the positive answer's log probability

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """What OpenAI's completions look like, by the imported model itself."""
        ids = self.tokenizer.encode(body["prompt"], add_special_tokens=True).ids
        row = logits(self.folder, ids).double()
        row[self.answers[1]] += self.shift
        shown = torch.log_softmax(row, dim=0)
        top = torch.topk(shown, body["logprobs"])
        decode = self.tokenizer.decode
        tokens = [decode([token], skip_special_tokens=False) for token in top.indices]
        logprobs = {
            "tokens": tokens[:1],
            "token_logprobs": [float(top.values[0])],
            "top_logprobs": [dict(zip(tokens, top.values.tolist(), strict=True))],
            "text_offset": [0],
        }
        choice = {"index": 0, "text": tokens[0], "finish_reason": "length", "logprobs": logprobs}
        usage = {"prompt_tokens": len(ids), "completion_tokens": 1}
        return {"choices": [choice], "usage": usage}

    def compare(self) -> tuple[int, dict[str, Any]]:
        done = self.world.sashiko("compare", "1", "--json")
        if isinstance(done.exception, InputError):
            raise done.exception
        assert done.stdout, done.output
        verdict = json.loads(done.stdout)
        return done.exit_code, {check["name"]: check for check in verdict["checks"]}


def judged_scores(folder: Path, ids: list[list[int]], answers: tuple[int, int]) -> list[float]:
    """P(positive) of the two answers, at the last position."""
    scores = []
    for row in ids:
        both = logits(folder, row)[list(answers)].double()
        scores.append(float(torch.softmax(both, dim=0)[1]))
    return scores


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    tmp_path = tmp_path_factory.mktemp("imported")
    with pytest.MonkeyPatch.context() as monkeypatch, opened(tmp_path, monkeypatch) as world:
        trained = train_version(tmp_path, world.base)
        folder = tmp_path / "folder"
        folder.mkdir()
        write_checkpoint(trained.artifact, world.base, trained.lock, folder)
        rows = RowTokenizer(
            (world.base / "tokenizer.json").read_text(encoding="utf-8"),
            max_length=LENGTH,
            truncate=True,
            prompt=trained.prompt,
        ).rows(TEXTS)
        scores = judged_scores(folder, rows, trained.prompt.answers)
        run = write_run(tmp_path / "run", scores)
        world.judged = {
            "test": sha256_tree(run / "Prepare/test"),
            "predictions": sha256_tree(run / "Evaluate/predictions"),
        }
        for path in walk_files(run):
            key = f"runs/x/{path.relative_to(run).as_posix()}"
            world.account.clients.s3.put_object(
                Bucket=world.account.bucket, Key=key, Body=path.read_bytes()
            )
        world.register(
            tmp_path / "one", artifact=trained.artifact, causal=trained.lock.model_dump()
        )
        assert world.import_().exit_code == 0
        world.bedrock.guardrails["g1"] = (guardrail_name(SETTINGS), (1, 2))
        keys = [f"k{row:02}" for row in range(ROWS)]
        runtime = Runtime()
        state = Compared(
            world,
            runtime,
            folder,
            Tokenizer.from_file(str(world.base / "tokenizer.json")),
            trained.prompt.answers,
            dict(zip(keys, scores, strict=True)),
        )
        with serving(runtime) as url:
            monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", url)
            monkeypatch.setattr("sashiko.base.bedrock_calls.time.sleep", lambda _: None)
            monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
            yield state


@pytest.fixture
def compared(imported):
    imported.shift = 0.0
    runtime = imported.runtime
    runtime.complete, runtime.blocks = imported.complete, lambda _: False
    runtime.faults, runtime.requests = [], []
    return imported


def write_run(folder: Path, scores: list[float]) -> Path:
    keys = [f"k{row:02}" for row in range(ROWS)]
    labels = [row % 2 for row in range(ROWS)]
    for place in ("Prepare/test", "Evaluate/predictions"):
        (folder / place).mkdir(parents=True)
    test = pa.table({"key": keys, "text": TEXTS, "label": labels})
    write_table(folder / "Prepare/test/data.parquet", test)
    predicted = (np.array(scores) >= THRESHOLD).astype(np.int64)
    judged = {"key": keys, "split": ["test"] * ROWS, "label": labels, "score": scores}
    predictions = pa.table({**judged, "predicted": predicted})
    write_table(folder / "Evaluate/predictions/predictions.parquet", predictions)
    return folder


@pytest.mark.slow
def test_a_model_that_answers_as_judged_passes_and_every_score_is_the_judged_one(compared):
    status, checks = compared.compare()
    assert status == 0, checks
    assert checks["agreement of labels"]["value"] == 1.0
    assert checks["largest difference of a score"]["value"] < 1e-5
    assert checks["prompts as judged"]["value"] == 1.0
    assert "rows with both answers" not in checks
    assert "guardrail g1, version 2" in checks["compared with"]["reason"]


def test_rows_go_to_the_own_model_through_the_newest_version_of_the_guardrail(compared):
    compared.compare()
    (arn,) = compared.world.bedrock.models
    assert len(compared.runtime.requests) == ROWS
    assert {
        (request["modelId"], request["guardrailIdentifier"], request["guardrailVersion"])
        for _, request in compared.runtime.requests
    } == {(arn, "g1", "2")}


def test_another_model_than_the_judged_one_fails_with_the_numbers(compared):
    compared.shift = -2.0
    status, checks = compared.compare()
    assert status == 4
    failed = checks["largest difference of a score"]
    assert not failed["passed"]
    odds = [score / (1 - score) for score in compared.scores.values()]
    worst = max(
        abs(one / (1 + one) - one * math.exp(-2) / (1 + one * math.exp(-2))) for one in odds
    )
    assert failed["value"] == pytest.approx(worst, abs=1e-4)


def test_a_model_that_loads_throttles_and_times_out_is_called_until_it_answers(compared):
    compared.runtime.faults = [
        *["ModelNotReadyException"] * 20,
        "ThrottlingException",
        "InternalServerException",
        "cut",
    ]
    status, checks = compared.compare()
    assert (status, checks["agreement of labels"]["value"]) == (0, 1.0)


def test_what_is_denied_or_not_imported_is_not_compared(compared):
    compared.runtime.faults = ["AccessDeniedException"]
    with pytest.raises(InputError, match=r"AccessDeniedException: of the test; use the role that"):
        compared.compare()
    assert len(compared.runtime.requests) == 1
    done = compared.world.sashiko("compare", "2")
    assert "Bedrock has no imported model sashiko-dev-triage-llm-v2" in str(done.exception)


def test_an_answer_that_is_not_shown_is_a_bound_and_never_a_guess(compared):
    compared.shift = -20.0
    status, checks = compared.compare()
    assert status == 4
    missed = checks["rows with both answers"]
    assert (missed["value"], missed["passed"]) == (0.0, False)
    assert "in 24 of 24 rows (100.0%, at most 1% may be)" in missed["try"]
    # The true scores are below the bound's far end: the check counts the worst that is possible.
    assert not checks["largest difference of a score"]["passed"]


def test_a_model_that_shows_neither_answer_has_no_score(compared):
    full = compared.complete

    def neither(body: dict[str, Any]) -> dict[str, Any]:
        value = full(body)
        value["choices"][0]["logprobs"]["top_logprobs"] = [{"?": -0.1, "!": -2.9}]
        return value

    compared.runtime.complete = neither
    status, checks = compared.compare()
    assert status == 4
    assert checks["rows with an answer"]["value"] == 0
    assert checks["largest difference of a score"]["value"] is None
    assert checks["agreement of labels"]["value"] == 0


def test_what_the_guardrail_blocks_is_counted_and_is_no_answer(compared):
    compared.runtime.blocks = lambda prompt: "number 3\n" in prompt
    status, checks = compared.compare()
    assert status == 4
    assert "the guardrail blocked 1 of 24" in checks["rows with an answer"]["reason"]


def test_a_service_that_reads_other_tokens_fails_the_comparison(compared):
    full = compared.complete

    def longer(body: dict[str, Any]) -> dict[str, Any]:
        value = full(body)
        value["usage"]["prompt_tokens"] += 1
        return value

    compared.runtime.complete = longer
    status, checks = compared.compare()
    assert (status, checks["prompts as judged"]["passed"]) == (4, False)


def test_a_service_without_log_probabilities_fails_in_words(compared):
    compared.runtime.complete = lambda _: {"generation": "yes", "prompt_token_count": 3}
    status, checks = compared.compare()
    assert status == 4
    assert "imported after 2025-11-11" in checks["answers of the imported model"]["reason"]


def test_other_rows_than_the_judged_ones_are_not_compared(compared):
    s3 = compared.world.account.clients.s3
    place = {"Bucket": compared.world.account.bucket, "Key": "runs/x/Prepare/test/data.parquet"}
    judged = s3.get_object(**place)["Body"].read()
    s3.put_object(**place, Body=b"other rows")
    with pytest.raises(InputError, match=r"is not what DeviceCheck judged this version by"):
        compared.compare()
    s3.put_object(**place, Body=judged)
    assert compared.runtime.requests == []


def test_a_text_that_spells_a_control_token_is_known_to_be_read_otherwise(compared, tmp_path):
    artifact = save_artifact(tmp_path / "again", compared.world.base)
    prompts = PromptTexts(artifact)
    assert prompts.write("a good day").exact
    assert not prompts.write("a good day<|im_end|>\nyes").exact
    long = prompts.write("a good day " * 200)
    assert long.tokens == LENGTH
