"""TRL's SFTTrainer on a job of `fine_tuning_causal`; imports nothing of the project.

.venv-trl/bin/python -m verification.benchmarks.fine_tuning_trl JOB
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
from trl import SFTConfig, SFTTrainer

from verification.benchmarks.fine_tuning_job import Job, Margins, Watch
from verification.benchmarks.fine_tuning_trainer import Evaluating

_SCORED_AT_ONCE = 64


class Asking(Evaluating):
    """Scores a text by the tokens of the two answers, after the prompt's last token."""

    def __init__(self, *, answers: tuple[int, int], pad: int, **parts: Any) -> None:
        super().__init__(**parts)
        self._answers = list(answers)
        self._pad = pad

    def _margins(self, model: Any) -> Margins:
        rows = self._validation
        margins = np.empty(len(rows))
        order = np.argsort([len(row) for row in rows], kind="stable")
        model.eval()
        plain = model.get_base_model()  # with the adapter, without accelerate's bfloat16
        for start in range(0, len(order), _SCORED_AT_ONCE):
            part = order[start : start + _SCORED_AT_ONCE]
            longest = max(len(rows[index]) for index in part)
            ids = torch.full((len(part), longest), self._pad)
            mask = torch.zeros_like(ids)
            for line, index in enumerate(part):  # on the left, so that each row's end is the last
                ids[line, longest - len(rows[index]) :] = torch.tensor(rows[index])
                mask[line, longest - len(rows[index]) :] = 1
            with torch.inference_mode():
                logits = plain(input_ids=ids, attention_mask=mask, logits_to_keep=1).logits
            answers = logits[:, -1, self._answers].double().numpy()
            margins[part] = answers[:, 1] - answers[:, 0]
        model.train()
        return margins


def main() -> None:
    """Trains as TRL's own examples do, from reading the tokenizer on."""
    job = Job.read(sys.argv[1])
    settings = job.hyperparameters
    tables = {name: pq.read_table(Path(job.data, name, "data.parquet"))
              for name in ("train", "validation")}  # fmt: skip
    negative, positive = json.loads(Path(job.data, "meta", "split.json").read_text())["labels"]
    watch = Watch()
    set_seed(settings["seed"])
    tokenizer = AutoTokenizer.from_pretrained(job.model, local_files_only=True)
    answers = settings["prompt"]["answers"]
    texts = {name: _cut(table["text"].to_pylist(), tokenizer, settings)
             for name, table in tables.items()}  # fmt: skip
    labels = tables["train"]["label"].to_pylist()
    train = Dataset.from_list(
        [
            {"prompt": _messages(text, settings),
             "completion": [{"role": "assistant", "content": answers[(negative, positive)[label]]}]}
            for text, label in zip(texts["train"], labels, strict=True)
        ]
    )  # fmt: skip
    validation = [_prompt_ids(text, tokenizer, settings) for text in texts["validation"]]
    model = AutoModelForCausalLM.from_pretrained(
        job.model, local_files_only=True, dtype=torch.float32
    )
    evaluating = Asking(
        watch=watch,
        every=job.every_rows,
        validation=validation,
        collate=None,
        pad=tokenizer.pad_token_id,
        answers=tuple(
            tokenizer.encode(answers[label], add_special_tokens=False)[0]
            for label in (negative, positive)
        ),
    )
    lora, layers = settings["lora"], model.config.num_hidden_layers
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            output_dir=folder,
            seed=settings["seed"],
            disable_tqdm=True,
            report_to="none",
            use_cpu=not torch.cuda.is_available(),
            num_train_epochs=settings["epochs"],
            per_device_train_batch_size=settings["batch_size"],
            learning_rate=settings["learning_rate"],
            warmup_steps=settings["warmup_ratio"],  # a share where it is below 1
            weight_decay=settings["weight_decay"],
            gradient_checkpointing=settings.get("gradient_checkpointing", False),
        )
        adapter = LoraConfig(
            task_type="CAUSAL_LM",
            r=lora["rank"],
            lora_alpha=lora["alpha"],
            lora_dropout=settings["dropout"],
            target_modules=list(lora["target_modules"]),
            layers_to_transform=list(range(layers - (lora["layers"] or layers), layers)),
            layers_pattern="layers",
        )
        SFTTrainer(
            model=model, args=arguments, train_dataset=train, processing_class=tokenizer,
            peft_config=adapter, callbacks=[evaluating],
        ).train()  # fmt: skip
    watch.write(job.output)


def _messages(text: str, settings: dict[str, Any]) -> list[dict[str, str]]:
    prompt = settings["prompt"]
    return [
        {"role": "system", "content": prompt["system"]},
        {"role": "user", "content": prompt["template"].replace("{text}", text)},
    ]


def _prompt_ids(text: str, tokenizer: Any, settings: dict[str, Any]) -> list[int]:
    messages = _messages(text, settings)
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    ids: list[int] = tokenizer(rendered, add_special_tokens=False)["input_ids"]
    return ids


def _cut(texts: list[str], tokenizer: Any, settings: dict[str, Any]) -> list[str]:
    """Cuts each text as ours is, so that TRL does not cut the answer."""
    room = settings["max_length"] - len(_prompt_ids("", tokenizer, settings))
    encoding = tokenizer(
        texts, truncation=True, max_length=room, add_special_tokens=False,
        return_offsets_mapping=True,
    )  # fmt: skip
    ends = (offsets[-1][1] for offsets in encoding["offset_mapping"])
    return [text[:end] for text, end in zip(texts, ends, strict=True)]


if __name__ == "__main__":
    main()
