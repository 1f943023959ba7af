"""The steps that see every row, each in a process of its own, on a lake of a generator's rows."""

import io
import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sashiko.base.files import canonical_json, sha256_tree, write_bytes, write_json
from sashiko.base.job_folders import Host
from sashiko.base.parquet import write_batches
from sashiko.bias.clarify.contract_config import analysis_config
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.data.ingest import ingest
from sashiko.data.lake import generate
from sashiko.data.splits import SPLITS
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_data import GeneratorSource
from sashiko.steps.score import INPUTS as SCORED
from sashiko.steps.scored_splits import (
    CANDIDATE,
    PartRecord,
    first_rows,
    load_split,
    write_part,
    write_record,
)
from sashiko.steps.sections import config_files
from verification.benchmarks.bench import HOME, run

PATTERN_ROWS = 20_000  # of the generator, which are repeated with other keys and words
_BATCH_ROWS = 100_000
_MOST_EVALUATED = 1_000_000
_STRIDE = 7_919  # a prime that divides no power of ten: a lake's rows are in no order
_PROGRAM = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@dataclass(frozen=True)
class Use:
    """What a step used: seconds, peak resident bytes, and the most bytes that its files took."""

    seconds: float
    memory: float
    disk: float


@dataclass
class Bench:
    """Runs the steps of one size below a folder, by a recipe's sections and contract."""

    root: Path
    recipe: Recipe
    contract: Contract
    uses: dict[str, Use] = field(default_factory=dict)

    def output(self, step: str, name: str = "") -> Path:
        """Returns the folder of an output."""
        return self.root / step / "processing" / "output" / name

    def step(
        self,
        name: str,
        module: str,
        *arguments: str,
        config: Sequence[str] = (),
        files: Mapping[str, bytes] | None = None,
        inputs: Mapping[str, Path] | None = None,
    ) -> None:
        """Runs a step on earlier steps' outputs, and notes what it used."""
        root = self.root / name
        source = Path(self.recipe.contract)
        channel = files or config_files(name, config, recipe=self.recipe, contract_file=source)
        for file, content in channel.items():
            write_bytes(root / "processing" / "input" / "config" / file, content)
        for key, folder in (inputs or {}).items():
            (root / "processing" / "input" / key).symlink_to(folder.resolve())
        hosts = {"current_host": "algo-1", "hosts": ["algo-1"]}
        write_json(root / "config" / "resourceconfig.json", hosts)
        disk, done = [0], threading.Event()

        def watch() -> None:
            while not done.wait(0.2):
                disk.append(_size(root))

        (root / "tmp").mkdir()
        variables = {"OPT_ML": str(root), "TMPDIR": str(root / "tmp"), "OMP_NUM_THREADS": "2"}
        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        start = time.monotonic()
        with (root / "log").open("wb") as log:
            process = subprocess.run(
                [sys.executable, "-c", _PROGRAM, module, *arguments],
                env=os.environ | variables, stdout=subprocess.PIPE, stderr=log, check=False,
            )  # fmt: skip
        seconds = time.monotonic() - start
        done.set()
        watcher.join()
        if process.returncode:
            sys.exit(f"error: {name}: {(root / 'log').read_text()[-2000:]}")
        memory = int(process.stdout.split()[-1]) * 1024
        staged = sum(_size(folder) for folder in (inputs or {}).values())
        self.uses[name] = Use(seconds, memory, staged + max(*disk, _size(root)))
        print(f"{name}: {seconds:,.1f} s, {memory / 1e6:,.0f} MB", file=sys.stderr)


def _size(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):  # removed meanwhile
                total += Path(folder, name).lstat().st_blocks * 512
    return total


def pattern_rows(recipe: Recipe, folder: Path) -> pa.Table:
    """Returns rows of the recipe's generator, as the lake has them."""
    source = next((item for item in recipe.data.sources if isinstance(item, GeneratorSource)), None)
    if source is None:
        sys.exit(f"error: recipes/{recipe.name}.yaml: data.sources has no generator")
    raw, loaded = folder / "raw.parquet", folder / "pattern.parquet"
    generate(raw, generator=source.generator, rows=PATTERN_ROWS, seed=source.seed, bias=True,
             drift=True)  # fmt: skip
    ingest(raw, load_contract(Path(recipe.contract)), loaded)
    return pq.read_table(loaded)


def _many_rows(pattern: pa.Table, contract: Contract, *, rows: int) -> Iterator[pa.RecordBatch]:
    """Yields the pattern again and again, each row with a key and a word of its own."""
    text = next(name for name in contract.text_columns if _is_text(pattern, name))
    for start in range(0, rows, _BATCH_ROWS):
        numbers = np.arange(start, min(start + _BATCH_ROWS, rows), dtype=np.int64)
        table = pattern.take(pa.array(numbers % pattern.num_rows))
        keys = pc.utf8_lpad(pa.array(numbers * _STRIDE % rows).cast(pa.string()), 10, "0")
        words = pc.binary_join_element_wise(table[text], pa.chunked_array([keys]), " ")
        keys = pc.binary_join_element_wise("C", keys, "")
        for name, column in ((contract.key, keys), (text, words)):
            table = table.set_column(table.column_names.index(name), name, column)
        yield from table.combine_chunks().to_batches()


def _is_text(table: pa.Table, name: str) -> bool:
    return pa.types.is_string(table.schema.field(name).type) and (
        pc.count_distinct(table[name]).as_py() > PATTERN_ROWS / 10
    )


def measure(recipe: Recipe, pattern: pa.Table, *, rows: int, root: Path) -> dict[str, Use]:
    """Runs the steps on that many rows."""
    contract = load_contract(Path(recipe.contract))
    bench = Bench(root, recipe, contract)
    table = root / "lake" / contract.table
    write_batches(
        table / "data.parquet",
        _many_rows(pattern, contract, rows=rows),
        schema=pattern.schema.remove_metadata(),
    )
    lake = ("--lake-uri", f"duckdb://{table.parent}", "--as-of", sha256_tree(table))
    governed = ("contract",)
    bench.step("Snapshot", "sashiko.steps.snapshot", "--view", "training", *lake, config=governed)
    bench.step("SnapshotFacets", "sashiko.steps.snapshot", "--view", "facets", *lake,
               config=governed,
               inputs={"training-manifest": bench.output("Snapshot", "manifest")})  # fmt: skip
    bench.step("Validate", "sashiko.steps.validate", "--view", "training", config=governed,
               inputs={name: bench.output("Snapshot", name)
                       for name in ("data", "manifest")})  # fmt: skip
    bench.step("Prepare", "sashiko.steps.prepare", config=("contract", "data", "text"),
               inputs={"data": bench.output("Snapshot", "data")})  # fmt: skip
    _bias(bench, "PreBias", "pre", bench.output("SnapshotFacets", "data"))
    if rows > _MOST_EVALUATED:
        return bench.uses
    _lay_out_evaluation(bench)
    evaluated = {name: bench.output("Prepare", name) for name in (*SPLITS, "slices")}
    others = ("artifact", "champion", "scores", "training-output")
    bench.step("Evaluate", "sashiko.steps.evaluate",
               config=("evaluate", "quality", "train", "reweighing", "data"),
               inputs=evaluated | {name: root / name for name in others})  # fmt: skip
    bench.step("BiasInput", "sashiko.bias.steps.bias_input", config=governed,
               inputs={"predictions": bench.output("Evaluate", "predictions"),
                       "facets": bench.output("SnapshotFacets", "data")})  # fmt: skip
    _bias(bench, "PostBias", "post", bench.output("BiasInput", "data"))
    bench.step("JudgeBias", "sashiko.bias.steps.judge_bias",
               config=("contract", "bias", "reweighing", "evaluate"),
               inputs={"pre-analysis": bench.output("PreBias"),
                       "post-analysis": bench.output("PostBias"),
                       "facets": bench.output("SnapshotFacets", "data"),
                       "data": bench.output("BiasInput", "data"),
                       "data-meta": bench.output("BiasInput", "meta")})  # fmt: skip
    return bench.uses


def _bias(bench: Bench, name: str, kind: str, data: Path) -> None:
    config = analysis_config(bench.contract, kind="pre" if kind == "pre" else "post")
    bench.step(name, "sashiko.bias.steps.clarify_bias", inputs={"data": data},
               files={"analysis_config.json": canonical_json(config)})  # fmt: skip


def _lay_out_evaluation(bench: Bench) -> None:
    """Writes what Evaluate gets of Train, Compile, ResolveChampion and Score."""
    root = bench.root
    write_bytes(root / "artifact" / "model.tar.gz", b"")
    write_json(root / "champion" / "champion.json", {"champion": None})
    curve = {"step": 1, "epoch": 1, "train_loss": 0.7, "learning_rate": 0.001}
    files = {"metrics.jsonl": json.dumps(curve).encode()} | {
        path.name: path.read_bytes() for path in bench.output("Prepare", "meta").iterdir()
    }
    (root / "training-output").mkdir()
    with tarfile.open(root / "training-output" / "output.tar.gz", "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    folders = {name: bench.output("Prepare", name) for name in SPLITS}
    splits = {name: load_split(folders[name]) for name in ("validation", "test")}
    rows, host = first_rows(splits), Host(index=0, count=1)
    label = np.concatenate([split.labels for split in splits.values()])
    scores = np.clip(0.3 + 0.3 * label + np.random.default_rng(0).normal(0, 0.2, len(label)), 0, 1)
    inputs = folders | {name: root / name for name in ("artifact", "champion")}
    write_part(root / "scores", CANDIDATE, host, rows=rows, scores=scores)
    write_record(
        root / "scores",
        PartRecord(
            part=0, parts=1, champion=False, labels=("no", "yes"),
            template=bench.recipe.text.template, missing=bench.recipe.text.missing,
            inputs={name: sha256_tree(inputs[name]) for name in SCORED},
        ),
    )  # fmt: skip


def score_rate(recipe: Recipe, pattern: pa.Table, *, rows: int, root: Path) -> float:
    """Returns the texts that one instance of Score does in a second, with its start-up left out."""
    artifact = run(recipe.name, home=HOME).output("Compile", "artifact")
    contract = load_contract(Path(recipe.contract))
    column = next(name for name in contract.text_columns if _is_text(pattern, name))
    seconds = []
    for count in (rows // 2, rows):
        bench = Bench(root / str(count), recipe, contract)
        for name, part in (("validation", 1), ("test", count - 1)):
            numbers = np.arange(part)
            texts = pattern[column].take(pa.array(numbers % pattern.num_rows))
            keys = [f"{name}{number:08}" for number in numbers]
            words = pc.binary_join_element_wise(texts, pa.chunked_array([keys]), " ")
            table = pa.table({"key": keys, "text": words, "label": numbers % 2})
            write_batches(bench.root / name / "data.parquet", table.to_batches(),
                          schema=table.schema)  # fmt: skip
        write_json(bench.root / "champion" / "champion.json", {"champion": None})
        inputs = {name: bench.root / name for name in ("validation", "test", "champion")}
        bench.step("Score", "sashiko.steps.score", files={"none.json": b"{}"},
                   inputs=inputs | {"artifact": artifact})  # fmt: skip
        seconds.append(bench.uses["Score"].seconds)
    return (rows - rows // 2) / (seconds[1] - seconds[0])
