"""What tokenizing the prompt once saves: a row's token ids, against rendering the chat template.

    python -m verification.benchmarks.prompt --recipe complaints-llm

Both make the same rows of token ids from the same texts: `RowTokenizer`, which Train and the
endpoint use, puts the prompt's tokens around the text's; transformers renders the tokenizer's chat
template for each text and tokenizes the whole. They take turns, and the fastest round counts. The
command fails where a row differs. The base model is fetched unless `--weights` has it.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq

from sashiko.contract.load import load_contract
from sashiko.data.lake import generate
from sashiko.data.sources import fetch_weights
from sashiko.pipeline.project import contract_file
from sashiko.serving.container.prompt import RowTokenizer
from sashiko.training.encoder import load_tokenizer
from sashiko.training.trainee import make_prompt
from verification.benchmarks.bench import machine, options, recipe_of, show, table

_TEXTS = 1000
_ROUNDS = 5
Tokenize = Callable[[list[str]], list[list[int]]]


def main() -> None:
    """Prints a Markdown table on stdout; exits with 1 where a row differs."""
    chosen = options(__doc__, recipe="complaints-llm", weights=Path)
    recipe = recipe_of(chosen.recipe)
    section, settings = recipe.prompt, recipe.hyperparameters
    if section is None:
        sys.exit(f"error: recipe {recipe.name}: key `prompt` is missing: it is an encoder's")
    label = load_contract(contract_file(recipe)).label
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as name:
        file = Path(name) / "rows.parquet"
        generate(file, generator="complaints", rows=_TEXTS, seed=0, bias=True, drift=False)
        texts: list[str] = pq.read_table(file)["complaint_text"].to_pylist()
        base = chosen.weights or Path(name) / "base"
        fetch_weights(recipe.model, base)
        tokenizer = load_tokenizer(base)
        prompt = make_prompt(
            section,
            tokenizer,
            labels=(label.negative, label.positive),
            chat_template_sha256=settings.chat_template_sha256 or "",
            max_length=settings.max_length,
            source=base,
        )
        once = RowTokenizer(
            (base / "tokenizer.json").read_text(encoding="utf-8"),
            max_length=settings.max_length,
            truncate=False,
            prompt=prompt,
        )
    system = [{"role": "system", "content": section.system}] if section.system else []

    def each(part: list[str]) -> list[list[int]]:
        messages = [
            [*system, {"role": "user", "content": section.template.replace("{text}", text)}]
            for text in part
        ]
        rendered = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        rows: list[list[int]] = tokenizer(rendered, add_special_tokens=False)["input_ids"]
        return rows

    differing = sum(one != other for one, other in zip(once.rows(texts), each(texts), strict=True))
    print(f"`{chosen.recipe}`, {_TEXTS:,} texts, a prompt of {prompt.size} tokens, {machine()}\n")
    heads = ("texts at once", "tokenized once, µs a text", "for each text, µs", "ratio")
    show(table(heads, _rows((once.rows, each), texts)))
    if differing:
        sys.exit(f"error: {differing} of {len(texts)} rows differ")


def _rows(ways: tuple[Tokenize, Tokenize], texts: list[str]) -> Iterator[tuple[str, ...]]:
    for size in (1, len(texts)):
        best = [float("inf")] * 2
        for _ in range(_ROUNDS):
            for index, tokenize in enumerate(ways):
                start = time.perf_counter()
                for first in range(0, len(texts), size):
                    tokenize(texts[first : first + size])
                best[index] = min(best[index], time.perf_counter() - start)
        ours, theirs = (seconds / len(texts) * 1e6 for seconds in best)
        yield f"{size:,}", f"{ours:.0f}", f"{theirs:.0f}", f"{theirs / ours:.1f}"


if __name__ == "__main__":
    main()
