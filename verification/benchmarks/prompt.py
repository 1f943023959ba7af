"""What tokenizing the prompt once saves: a row's token ids, against rendering the chat template.

    python -m verification.benchmarks.prompt --recipe complaints-llm

Both make the same rows of token ids from the same texts: `RowTokenizer`, which Train and the
endpoint use, puts the prompt's tokens around the text's; transformers renders the tokenizer's chat
template for each text and tokenizes the whole. They take turns, and the fastest round counts. The
command fails where a row differs.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq

from sashiko.contract.load import load_contract
from sashiko.data.lake import generate
from sashiko.data.sources import fetch_weights
from sashiko.errors import InputError
from sashiko.pipeline.project import contract_file
from sashiko.serving.container.prompt import RowTokenizer
from sashiko.settings.causal import PromptSection
from sashiko.settings.recipe import load_recipe
from sashiko.training.model import load_tokenizer
from sashiko.training.prompts import make_prompt
from verification.benchmarks.runs import machine

_TEXTS = 1000
_ROUNDS = 5

Rows = list[list[int]]


def main() -> None:
    """Prints a Markdown table on stdout; exits with 1 where a row differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", default="complaints-llm", help="a recipe's name")
    parser.add_argument("--weights", type=Path, help="the base model's folder; fetched if absent")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as name:
        file = Path(name) / "rows.parquet"
        generate(file, generator="complaints", rows=_TEXTS, seed=0, bias=True, drift=False)
        texts: list[str] = pq.read_table(file)["complaint_text"].to_pylist()
        base = options.weights or Path(name) / "base"
        compare(options.recipe, base, texts)


def compare(recipe_name: str, base: Path, texts: list[str]) -> None:
    """Times both ways, a text at a time and all at once, and prints the table."""
    recipe = load_recipe(Path("recipes") / f"{recipe_name}.yaml")
    label = load_contract(contract_file(recipe)).label
    section, settings = recipe.prompt, recipe.hyperparameters
    if section is None:
        raise InputError(f"recipe {recipe.name}: key `prompt` is missing: it is an encoder's")
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

    def each(part: list[str]) -> Rows:
        rendered = tokenizer.apply_chat_template(
            [conversation(section, text) for text in part],
            tokenize=False,
            add_generation_prompt=True,
        )
        rows: Rows = tokenizer(rendered, add_special_tokens=False)["input_ids"]
        return rows

    differing = sum(one != other for one, other in zip(once.rows(texts), each(texts), strict=True))
    print(
        f"`{recipe_name}`, {len(texts):,} texts and a prompt of {prompt.size} tokens, {machine()}\n"
    )
    print("|texts at once|tokenized once, µs a text|for each text, µs|ratio|\n" + "|---" * 4 + "|")
    for size in (1, len(texts)):
        ours, theirs = fastest(once.rows, each, texts, size=size)
        print(f"|{size:,}|{ours:.0f}|{theirs:.0f}|{theirs / ours:.1f}|")
    if differing:
        sys.exit(f"error: {differing} of {len(texts)} rows differ")


def conversation(section: PromptSection, text: str) -> list[dict[str, str]]:
    """Returns the messages that the chat template renders."""
    system = [{"role": "system", "content": section.system}] if section.system else []
    return [*system, {"role": "user", "content": section.template.replace("{text}", text)}]


def fastest(
    once: Callable[[list[str]], Rows],
    each: Callable[[list[str]], Rows],
    texts: list[str],
    *,
    size: int,
) -> tuple[float, float]:
    """Tokenizes all texts, so many at once, in turns.

    Returns:
        Microseconds a text of the fastest round of each.
    """
    best = [float("inf")] * 2
    for _ in range(_ROUNDS):
        for index, tokenize in enumerate((once, each)):
            start = time.perf_counter()
            for first in range(0, len(texts), size):
                tokenize(texts[first : first + size])
            best[index] = min(best[index], time.perf_counter() - start)
    ours, theirs = (seconds / len(texts) * 1e6 for seconds in best)
    return ours, theirs


if __name__ == "__main__":
    main()
