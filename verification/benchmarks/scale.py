"""What each step that sees every row needs at a size, and on paper at 1e8 and 1e9 rows.

    python -m verification.benchmarks.scale --rows 100000 1000000 10000000 --write

The steps run one after the other on a lake of that many rows of the recipe's contract, as SageMaker
runs them: in processes of their own, on each other's outputs. The rows are the generator's, each
with a key and a word of its own, so that no two texts are equal. Train is left out, and the model's
scores are drawn: a model is measured apart, by the texts a second that Score does with the recipe's
own, as that depends on the model and not on the rows. Evaluate and the bias of the predictions are
left out above a million rows, as the resamples of their intervals would take hours.

On paper a step takes `seconds(n) = seconds(b) + (n - b) * (seconds(b) - seconds(a)) / (b - a)`,
where a and b are the two greatest sizes; memory and disk likewise. Its price is that of the
environment's instance, taken to be as fast as this machine. What is met first is the smallest
number of rows at which one of these is exceeded: the memory of that instance, the settings of its
job, the most that SageMaker allows a job.
"""

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from botocore.loaders import Loader

from docs.between import between
from sashiko.aws.operations.cost.prices import PRICE_FILE, Prices
from sashiko.contract.bias_config import analysis_config
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract
from sashiko.core.files import canonical_json, sha256_tree, write_bytes, write_json
from sashiko.core.job_folders import Host
from sashiko.core.parquet import write_batches
from sashiko.core.yaml_models import read_yaml, validate
from sashiko.data.ingest import ingest
from sashiko.data.lake import generate
from sashiko.data.splits import SPLITS
from sashiko.pipeline.project import HOME
from sashiko.settings.environment import load_settings
from sashiko.settings.jobs import ProcessingJob
from sashiko.settings.recipe import Recipe, load_recipe
from sashiko.settings.sources import GeneratorSource
from sashiko.steps.score import INPUTS as SCORED
from sashiko.steps.score_parts import CANDIDATE, PartRecord, write_part, write_record
from sashiko.steps.scored_splits import first_rows, load_split
from sashiko.steps.sections import config_files
from verification.benchmarks.runs import machine, run

_PATTERN_ROWS = 20_000  # of the generator, which are repeated with other keys and words
_BATCH_ROWS = 100_000
_MOST_EVALUATED = 1_000_000
_STRIDE = 7_919  # a prime that divides no power of ten: a lake's rows are in no order
_FIXED = "SageMaker's "
_PAPER = (100_000_000, 1_000_000_000)
_SAMPLE_SECONDS = 0.2
_GIB = 1024**3
_PAGE = Path("docs/scale.md")
_MARKS = "<!-- scale: the three tables of the command -->\n", "<!-- end of the tables -->\n"
# Memory in GiB of the types of `config/base.yaml`: "Amazon EC2 M5 Instances", aws.amazon.com.
_MEMORY_GIB = {"ml.m5.large": 8, "ml.m5.xlarge": 16, "ml.m5.2xlarge": 32}
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
    """What a step used.

    Attributes:
        seconds: from its start to its end.
        memory: the process's peak resident size, bytes.
        disk: the most that its inputs, outputs and temporary files took together, bytes.
    """

    seconds: float
    memory: float
    disk: float


@dataclass
class Bench:
    """Runs the steps of one size below a folder.

    Attributes:
        root: the folder.
        recipe: whose sections the steps read.
        contract: of its rows.
        uses: step -> what it used.
    """

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
            (root / "processing" / "input" / key).symlink_to(folder)
        write_json(
            root / "config" / "resourceconfig.json", {"current_host": "algo-1", "hosts": ["algo-1"]}
        )
        staged = sum(_size(folder) for folder in (inputs or {}).values())
        scratch = root / "tmp"
        scratch.mkdir()
        variables = {"OPT_ML": str(root), "TMPDIR": str(scratch), "OMP_NUM_THREADS": "2"}
        start = time.monotonic()
        with (root / "log").open("wb") as log, _Disk(root) as disk:
            done = subprocess.run(
                [sys.executable, "-c", _PROGRAM, module, *arguments],
                env=os.environ | variables, stdout=subprocess.PIPE, stderr=log, check=False,
            )  # fmt: skip
        seconds = time.monotonic() - start
        if done.returncode:
            sys.exit(f"error: {name}: {(root / 'log').read_text()[-2000:]}")
        memory = int(done.stdout.split()[-1]) * 1024
        self.uses[name] = Use(seconds, memory, staged + disk.peak)
        print(f"{name}: {seconds:,.1f} s, {memory / 1e6:,.0f} MB", file=sys.stderr)


class _Disk:
    """Watches the size of a folder."""

    def __init__(self, folder: Path) -> None:
        self.peak = 0
        self._folder = folder
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "_Disk":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, _size(self._folder))
            if self._done.wait(_SAMPLE_SECONDS):
                return


def _size(path: Path) -> int:
    total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with suppress(FileNotFoundError):  # removed meanwhile
                total += Path(folder, name).lstat().st_blocks * 512
    return total


def main() -> None:
    """Prints the tables as Markdown on stdout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="complaints", help="a recipe with a generator")
    parser.add_argument("--env", default="dev", help="whose instances and prices are taken")
    parser.add_argument("--rows", nargs="+", type=int, default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--scored", type=int, default=20_000, help="texts that Score is timed on")
    parser.add_argument("--write", action="store_true", help=f"write the tables into {_PAGE}")
    options = parser.parse_args()
    sizes = sorted(set(options.rows))
    if len(sizes) < 2 or sizes[0] < _PATTERN_ROWS:
        parser.error(f"--rows: name at least two sizes of {_PATTERN_ROWS:,} or more")
    recipe = load_recipe(Path("recipes") / f"{options.recipe}.yaml")
    uses = {}
    with tempfile.TemporaryDirectory(prefix="sashiko-benchmark-") as folder:
        pattern = pattern_rows(recipe, Path(folder))
        for rows in sizes:
            print(f"{rows:,} rows ...", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=folder) as root:
                uses[rows] = measure(recipe, pattern, rows=rows, root=Path(root))
        rate = score_rate(recipe, pattern, rows=options.scored, root=Path(folder) / "score")
    settings = load_settings(options.env)
    prices = validate(Prices, read_yaml(PRICE_FILE), source=str(PRICE_FILE))
    named = ", ".join(f"{rows:,}" for rows in sizes)
    lines = [
        f"`{recipe.name}`'s contract at {named} rows on {machine()}.",
        "",
        *measures(uses),
        "",
        *paper(uses, settings.jobs.processing, settings.jobs.scoring, prices),
        "",
        *scoring_lines(rate, settings.jobs.scoring, prices),
    ]
    tables = "".join(f"{line}\n" for line in lines)
    print(tables, end="")
    if options.write:
        _PAGE.write_text(between(_PAGE, _MARKS, tables))


def pattern_rows(recipe: Recipe, folder: Path) -> pa.Table:
    """Returns rows of the recipe's generator, as the lake has them."""
    source = next((item for item in recipe.data.sources if isinstance(item, GeneratorSource)), None)
    if source is None:
        sys.exit(f"error: recipes/{recipe.name}.yaml: data.sources has no generator")
    raw, loaded = folder / "raw.parquet", folder / "pattern.parquet"
    generate(raw, generator=source.generator, rows=_PATTERN_ROWS, seed=source.seed, bias=True,
             drift=True)  # fmt: skip
    ingest(raw, load_contract(Path(recipe.contract)), loaded)
    return pq.read_table(loaded)


def many_rows(pattern: pa.Table, contract: Contract, *, rows: int) -> Iterator[pa.RecordBatch]:
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
        pc.count_distinct(table[name]).as_py() > _PATTERN_ROWS / 10
    )


def measure(recipe: Recipe, pattern: pa.Table, *, rows: int, root: Path) -> dict[str, Use]:
    """Runs the steps on that many rows."""
    contract = load_contract(Path(recipe.contract))
    bench = Bench(root, recipe, contract)
    table = root / "lake" / contract.table
    write_batches(
        table / "data.parquet",
        many_rows(pattern, contract, rows=rows),
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
    lay_out_evaluation(bench)
    evaluated = {name: bench.output("Prepare", name) for name in (*SPLITS, "slices")}
    others = ("artifact", "champion", "scores", "training-output")
    bench.step("Evaluate", "sashiko.steps.evaluate",
               config=("evaluate", "quality", "train", "reweighing", "data"),
               inputs=evaluated | {name: root / name for name in others})  # fmt: skip
    bench.step("BiasInput", "sashiko.steps.bias_input", config=governed,
               inputs={"predictions": bench.output("Evaluate", "predictions"),
                       "facets": bench.output("SnapshotFacets", "data")})  # fmt: skip
    _bias(bench, "PostBias", "post", bench.output("BiasInput", "data"))
    bench.step("JudgeBias", "sashiko.steps.judge_bias",
               config=("contract", "bias", "reweighing", "evaluate"),
               inputs={"pre-analysis": bench.output("PreBias"),
                       "post-analysis": bench.output("PostBias"),
                       "facets": bench.output("SnapshotFacets", "data"),
                       "data": bench.output("BiasInput", "data"),
                       "data-meta": bench.output("BiasInput", "meta")})  # fmt: skip
    return bench.uses


def _bias(bench: Bench, name: str, kind: str, data: Path) -> None:
    config = analysis_config(bench.contract, kind="pre" if kind == "pre" else "post")
    bench.step(name, "sashiko.steps.bias", inputs={"data": data},
               files={"analysis_config.json": canonical_json(config)})  # fmt: skip


def lay_out_evaluation(bench: Bench) -> None:
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
    artifact = run(recipe.name, overrides=[], home=HOME).output("Compile", "artifact")
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


def on_paper(uses: Mapping[int, Use], rows: float, what: Callable[[Use], float]) -> float:
    """Returns what a step needs at a size, on the line through its two greatest ones."""
    (a, one), (b, two) = sorted(uses.items())[-2:]
    slope = max(0.0, (what(two) - what(one)) / (b - a))
    return what(two) + (rows - b) * slope


def rows_at(uses: Mapping[int, Use], limit: float, what: Callable[[Use], float]) -> float:
    """Returns at how many rows a step needs as much; infinite if it needs no more for more rows."""
    (a, one), (b, two) = sorted(uses.items())[-2:]
    slope = (what(two) - what(one)) / (b - a)
    return b + (limit - what(two)) / slope if slope > 0 else float("inf")


def measures(uses: Mapping[int, Mapping[str, Use]]) -> Iterator[str]:
    """Yields the lines of what each step used at each size."""
    yield "| step | " + " | ".join(f"{rows:,} rows: s, MB, disk GB" for rows in uses) + " |"
    yield "|---" * (len(uses) + 1) + "|"
    for step in next(iter(uses.values())):
        cells = [
            f"{use[step].seconds:,.1f}, {use[step].memory / 1e6:,.0f}, {use[step].disk / 1e9:.2f}"
            if step in use
            else ""
            for use in uses.values()
        ]
        yield f"| {step} | {' | '.join(cells)} |"


def paper(
    uses: Mapping[int, Mapping[str, Use]],
    processing: ProcessingJob,
    scoring: ProcessingJob,
    prices: Prices,
) -> Iterator[str]:
    """Yields the lines of hours, dollars, memory and disk on paper, and of the limit met first."""
    sizes = [f"{rows:.0e}".replace("e+0", "e") for rows in _PAPER]
    heads = [f"{size} rows: h, $, memory GB, disk GB" for size in sizes]
    yield f"| step | instance | {' | '.join(heads)} | met first, at rows |"
    yield "|---" * (len(heads) + 3) + "|"
    met: list[tuple[float, str, str]] = []  # rows, limit, step
    for step in next(iter(uses.values())):
        of_step = {rows: use[step] for rows, use in uses.items() if step in use}
        job = scoring if step == "Evaluate" else processing
        usd = prices.instances[job.instance_type].usd
        cells = []
        for rows in _PAPER:
            hours = on_paper(of_step, rows, _seconds) / 3600
            memory = on_paper(of_step, rows, _memory) / 1e9
            disk = on_paper(of_step, rows, _disk) / 1e9
            cells.append(f"{hours:,.1f}, {hours * usd:,.2f}, {memory:,.1f}, {disk:,.0f}")
        of_job = sorted((rows, limit, step) for limit, rows in limits(of_step, job))
        met += of_job
        at, limit, _ = of_job[0]
        cells.append(f"{limit}, {at:.1e}" if at < float("inf") else "none")
        yield f"| {step} | {job.instance_type} | {' | '.join(cells)} |"
    yield ""
    fixed = _first(met, only=_FIXED)
    yield f"A run meets {_first(met)}. Of what no setting raises, it meets {fixed}."


def _first(met: Sequence[tuple[float, str, str]], only: str = "") -> str:
    rows, limit, step = min(item for item in met if item[1].startswith(only))
    return f"{limit} first, in {step}, at {rows:.1e} rows"


def limits(uses: Mapping[int, Use], job: ProcessingJob) -> Iterator[tuple[str, float]]:
    """Yields each limit of a job, and the rows at which a step meets it."""
    shapes = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    most_gb = shapes["ProcessingVolumeSizeInGB"]["max"]
    most_seconds = shapes["ProcessingMaxRuntimeInSeconds"]["max"]
    memory = _MEMORY_GIB[job.instance_type]
    yield f"`max_runtime` {job.max_runtime / 3600:g} h", rows_at(uses, job.max_runtime, _seconds)
    yield f"{_FIXED}{most_seconds / 86400:g} days", rows_at(uses, most_seconds, _seconds)
    yield f"`volume_size` {job.volume_size} GB", rows_at(uses, job.volume_size * _GIB, _disk)
    yield f"{_FIXED}{most_gb:,} GB", rows_at(uses, most_gb * _GIB, _disk)
    yield f"memory {memory} GiB", rows_at(uses, memory * _GIB, _memory)


def _seconds(use: Use) -> float:
    return use.seconds


def _memory(use: Use) -> float:
    return use.memory


def _disk(use: Use) -> float:
    return use.disk


def scoring_lines(rate: float, job: ProcessingJob, prices: Prices) -> Iterator[str]:
    """Yields the lines of what scoring that many texts takes on some numbers of instances."""
    usd = prices.instances[job.instance_type].usd
    yield f"Score does {rate:,.0f} texts a second on one instance."
    yield ""
    yield "| texts | instances | hours | $ |"
    yield "|---|---|---|---|"
    for texts in (1_000_000, 100_000_000, 1_000_000_000):
        for count in (1, 10, 100):
            hours = texts / rate / count / 3600
            yield f"| {texts:,} | {count} | {hours:,.1f} | {hours * count * usd:,.2f} |"


if __name__ == "__main__":
    main()
