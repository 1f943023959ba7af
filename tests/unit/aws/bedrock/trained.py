"""What the pipeline makes of a base model: the step Train's adapter, merged as Compile does."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from sashiko.core.files import sha256_file, write_json
from sashiko.serving.compile_lock import CausalLock
from sashiko.serving.container.adapter import base_digests, merge
from sashiko.serving.container.answers import read_answered
from sashiko.serving.container.prompt import Prompt, read_prompt
from tests.unit.aws.bedrock.models import LENGTH
from tests.unit.training.tiny_job import save_job
from tests.unit.training.tiny_llama import causal_hyperparameters


@dataclass(frozen=True)
class Trained:
    """A trained version.

    Attributes:
        artifact: what the target gpu serves.
        lock: what the compile lock says of its parts.
        prompt: what it reads beside a text.
    """

    artifact: Path
    lock: CausalLock
    prompt: Prompt


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
    (artifact / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
    prompt = read_prompt(adapter)
    assert prompt is not None
    serving = {
        "target": "gpu",
        "labels": ["bad", "good"],
        "truncate": True,
        "buckets": [{"batch": 1, "length": LENGTH, "graph": ""}],
        "prompt": asdict(prompt),
    }
    write_json(artifact / "serving.json", serving)
    lock = CausalLock(
        base=base_digests(adapter),
        adapter_sha256=sha256_file(adapter / "adapter_model.safetensors"),
        merge_difference=0.0,
        answered=read_answered(adapter),
        answers=prompt.answers,
        chat_template_sha256=prompt.chat_template_sha256,
    )
    return Trained(artifact=artifact, lock=lock, prompt=prompt)
