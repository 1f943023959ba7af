"""The candidates of a selection: models of this machine, and decisions of Bedrock's models."""

import datetime as dt
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sashiko.account.prices import Price, Prices, Speed, TokenPrice
from sashiko.base.files import sha256_file
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import InjectionFigures
from sashiko.evaluation.metrics.arrays import ModelScores, class_members
from sashiko.pipeline.local_models import open_local
from sashiko.pipeline.runner.run_record import RunRecord, read_run
from sashiko.pipeline.use_cost import prediction_costs
from sashiko.serving.artifact import open_artifact
from sashiko.serving.container.text import columns, row_template
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe
from sashiko.settings.recipe_quality import EvaluateSection
from sashiko.steps.injection import Scorer, artifact_scorer, measure_injection
from sashiko.steps.scored_splits import ARTIFACT, Split, load_split
from sashiko_packs.selection.converse import (
    Example,
    Ledger,
    Reading,
    Request,
    make_request,
    plain,
    read_answer,
    require_price,
)
from sashiko_packs.selection.file import BedrockCandidate, Selection, VersionCandidate, travel_of
from sashiko_packs.selection.record import Answers, CandidateRecord, Cost, Latency
from sashiko_packs.selection.recording import Endpoint, Line, Recorder, Recording, replay
from sashiko_packs.selection.rows import (
    COMPILE,
    PREPARE,
    JudgedRows,
    Runs,
    cached_scores,
    refuse_classified,
    threshold_of,
)

_WARM_UP = 10  # requests
_ROUNDS = 5
_ROUND = 40  # requests
_MEASURED_TARGET = "cpu"  # this machine's processor runs no accelerator's model at its speed
_FIRST = 20  # requests; if no answer to them is valid, no further one is paid
_MIDDLE = 0.5  # between a negative decision, 0, and a positive one, 1


@dataclass(frozen=True)
class Scored:
    """A candidate, still without its quality, and its decisions on the test rows."""

    record: CandidateRecord
    # Scores of the test rows and the threshold; of Bedrock's models 1 for the class that is decided
    # and else 0, at 0.5. None of a model that was not asked.
    model: ModelScores | None


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What every candidate of this machine is judged with."""

    selection: Selection
    settings: Settings
    prices: Prices
    rows: JudgedRows
    runs: Runs
    home: Path  # the folder of all local state

    def injection(
        self,
        scorer: Scorer,
        model: ModelScores,
        *,
        answers: tuple[str, ...],
        as_rows: bool = False,
    ) -> InjectionFigures | None:
        """Measures how many decisions prompt injections turn; None if the file asks for none.

        `as_rows`: the scorer reads the columns of the rows, and not their texts.
        """
        count, seed = self.selection.injections, self.rows.recipe.evaluate.seed
        if not count:
            return None
        section = EvaluateSection(injections=count, seed=seed)
        texts = self.rows.test.rows if as_rows else self.rows.test.texts
        return measure_injection(section, scorer, texts, model, answers=answers, as_rows=as_rows)

    def instance_cost(self, target: str, latency: Latency) -> Cost:
        """Returns the cost of a million predictions on an endpoint of our own."""
        return instance_cost(
            self.prices, self.settings, target=target, latency=latency, load=self.selection.load
        )


def score_local(name: str, recipe: Recipe, bench: Bench) -> Scored:
    """Scores a candidate of this machine: a recipe, its linear model, or a registered version.

    Raises:
        IncompleteRunError: if the recipe's run was blocked, failed or interrupted.
        InputError: if it was trained on a test row, refuses a text, or there is no such version.
    """
    candidate = bench.selection.candidates[name]
    if isinstance(candidate, VersionCandidate):
        return _version(name, candidate, recipe, bench)
    run = bench.runs.of(recipe)
    bench.runs.refuse_seen(run, bench.rows.test, name=name)
    archive = bench.runs.output(run, COMPILE, "artifact") / ARTIFACT
    validation = load_split(bench.runs.output(run, PREPARE, "validation"))
    on_validation = cached_scores(
        archive,
        validation,
        split_sha256=run.step(PREPARE).outputs["validation"].sha256,
        name=f"{name}, validation",
        home=bench.home,
    )
    threshold = threshold_of(recipe, bench.rows.contract, validation.labels, on_validation)
    how = "fine-tuned" if recipe.model.pretrained else "trained"
    model = recipe.model.name
    if recipe.model.family == "linear" and bench.rows.contract.is_number:
        model = model.replace("logistic", "ridge")
    what = f"{model}, {how} by recipe {recipe.name}"
    return _artifact(name, recipe, bench, archive, threshold, run=run, what=what)


def _version(name: str, candidate: VersionCandidate, recipe: Recipe, bench: Bench) -> Scored:
    registry = open_local(bench.home, recipe=candidate.recipe)
    version = registry.version(recipe.model_package_group, candidate.version)
    try:
        run = read_run(bench.home / "runs" / version.tags["execution_id"])
    except InputError as error:
        raise InputError(
            f"candidate {name}: the run of {version.group} version {version.version} cannot be "
            f"read, so nobody can say whether it was trained on a test row: {error}; name a "
            "version of a run that is still there, or its recipe as `kind: recipe`"
        ) from error
    bench.runs.refuse_seen(run, bench.rows.test, name=name)
    what = f"{version.group} version {version.version}, {version.status}"
    with tempfile.TemporaryDirectory(prefix="sashiko-version-") as scratch:
        archive = registry.download(version, Path(scratch))
        return _artifact(name, recipe, bench, archive, version.threshold, run=run, what=what)


def _artifact(
    name: str,
    recipe: Recipe,
    bench: Bench,
    archive: Path,
    threshold: float,
    *,
    run: RunRecord,
    what: str,
) -> Scored:
    """Scores the test rows with an artifact, and measures it.

    It may be an older version's, of another template or other labels, which is refused. A linear
    model reads the template's columns, and not its texts.
    """
    rows, text = bench.rows, bench.rows.recipe.text
    scored = cached_scores(
        archive, rows.test, split_sha256=rows.test_sha256, name=name, home=bench.home
    )
    model = replace(scored, threshold=threshold)
    # A causal LM answers by its prompt, other models by the labels.
    words = recipe.prompt.answers if recipe.prompt else {}
    answers = tuple(words.get(label, label) for label in rows.labels)
    print(f"{name}: timing single requests", file=sys.stderr)
    with open_artifact(archive, threshold=threshold) as artifact:
        as_rows = artifact.template == row_template(columns(text.template))
        for key, theirs, ours in (
            ("labels", artifact.labels, rows.labels),
            ("template", artifact.template, artifact.template if as_rows else text.template),
            ("missing", artifact.missing, text.missing),
        ):
            if theirs != ours:
                raise InputError(
                    f"candidate {name}: its artifact has `{key}` {theirs!r}, and `rows.recipe` "
                    f"{ours!r}: the two cannot be compared on the same texts"
                )
        test = rows.test.read_by(artifact)
        latency = time_requests(lambda text: artifact.predict([text]), test.texts)
        injection = bench.injection(
            artifact_scorer(artifact), model, answers=answers, as_rows=as_rows
        )
    record = CandidateRecord(
        name=name,
        kind=bench.selection.candidates[name].kind,
        what=what,
        injection=injection,
        latency=latency,
        cost=bench.instance_cost(recipe.compile.target, latency),
        licence=recipe.model.licence or "not stated" if recipe.model.pretrained else None,
        sha256=sha256_file(archive),
        run=run.id,
    )
    return Scored(record, model)


def time_requests(predict: Callable[[str], object], texts: Sequence[str]) -> Latency:
    """Times single predictions in this process, after a warm-up; it takes the texts in turn.

    The mean is that of the fastest of several rounds, as other work on the machine slows some.
    """
    seconds = []
    for number in range(_WARM_UP + _ROUNDS * _ROUND):
        start = time.perf_counter()
        predict(texts[number % len(texts)])
        seconds.append(time.perf_counter() - start)
    timed = np.array(seconds[_WARM_UP:])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    how = f"one text at a time in this process, without HTTP, on {cores} cores, {_processor()}"
    mean = float(timed.reshape(_ROUNDS, _ROUND).mean(axis=1).min())
    p50, p99 = (float(share) for share in np.quantile(timed, [0.5, 0.99]))
    return Latency(p50=p50, p99=p99, mean=mean, requests=len(timed), how=how)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def instance_cost(
    prices: Prices, settings: Settings, *, target: str, latency: Latency, load: float
) -> Cost:
    """Returns the cost of a million predictions on an endpoint of our own.

    The speed of an instance is taken to be that of this machine, one request after the other, if
    the model is compiled for a CPU. For another target it is the price file's. The load is in
    predictions per second, all month.
    """
    kind = settings.serving.instance_type(target)
    price, speed = prices.instances.get(kind), prices.speeds.get(kind)
    if price is None:
        return Cost(usd=None, basis=f"unknown: {prices.no_price_of(kind)}")
    if target == _MEASURED_TARGET:
        today = dt.datetime.now(dt.UTC).date()
        rate = 1 / latency.mean
        speed = Speed(per_second=rate, what=latency.how, source="measured", read=today)
    if speed is None:
        return Cost(
            usd=None,
            basis=f"unknown: this machine is not a {kind}, and the speed of one is not known: "
            f"give `speeds.{kind}` in your own file, as --prices FILE",
        )
    (cost,) = prediction_costs(
        prices.model_copy(update={"speeds": {kind: speed}}),
        instance_types={target: kind},
        load=load,
        least=settings.serving.min_instances,
    )
    where = "measured here" if target == _MEASURED_TARGET else "assumed, not measured"
    return Cost(
        usd=cost.per_million,
        basis=f"{cost.instances} x {kind} at {load:g} predictions a second. Speed, {where}: "
        f"{speed.per_second:,.0f} a second each ({speed.what}; {speed.source}, {speed.read}). "
        f"Price: ${price.usd:g} ({_source(price)}) an hour",
    )


def _source(price: Price | TokenPrice) -> str:
    weak = ", not AWS's own page" if price.weak else ""
    return f"{price.source}, read {price.read}{weak}"


@dataclass(frozen=True, kw_only=True)
class Responder:
    """Answers requests from a recording; with a ledger, it records those that are missing."""

    selection: Selection
    recording: Recording
    ledger: Ledger | None  # None: replay alone, nothing is sent
    prices: Prices
    command: str  # that repeats the selection

    def answer(self, requests: Sequence[Request], candidate: BedrockCandidate) -> list[Line]:
        """Returns the answers of requests, in their order.

        Raises:
            InputError: if one is not recorded, or cannot be recorded.
        """
        settings = self.selection.bedrock
        if self.ledger is not None and settings is not None:
            price = self.prices.of_tokens(candidate.model, region=candidate.region)
            require_price(settings.budget, price, model=candidate.model)
            endpoint = Endpoint(
                region=candidate.region,
                price=price,
                concurrency=settings.concurrency,
                longest_answer=candidate.max_tokens,
            )
            Recorder(endpoint.client(), self.recording, self.ledger, endpoint).record(requests)
        return replay(requests, self.recording, command=self.command)

    def read(
        self, requests: Sequence[Request], candidate: BedrockCandidate
    ) -> list[tuple[Line, Reading]]:
        """Returns the answers of requests, and what they mean.

        Raises:
            InputError: as `answer`.
        """
        answers = candidate.prompt.answers
        return [
            (line, read_answer(line.response, answers))
            for line in self.answer(requests, candidate)
            if line.response is not None  # as every recorded answer has one
        ]


@contextmanager
def open_responder(
    selection: Selection, path: Path, prices: Prices, *, record: bool, command: str
) -> Iterator[Responder | None]:
    """Opens the recording of a selection; None if it has no candidate of Bedrock.

    With `record` missing answers are asked for, within the budget.

    Raises:
        InputError: if the recording is damaged, or cannot be written.
    """
    if selection.bedrock is None:
        if record:
            raise InputError("--record: the selection has no candidate of kind bedrock")
        yield None
        return
    recording = Recording(path)
    ledger = Ledger(selection.bedrock.budget) if record else None
    responder = Responder(
        selection=selection, recording=recording, ledger=ledger, prices=prices, command=command
    )
    if ledger is None:
        yield responder
        return
    with recording.writing():
        for line, tokens in recording.spent():
            ledger.spend(tokens, prices.of_tokens(line.model, region=line.region))
        yield responder


def bedrock_candidate(
    name: str, candidate: BedrockCandidate, bench: Bench, responder: Responder
) -> Scored:
    """Takes a model's decisions on the test rows from its answers.

    Nothing is sent where a text could be processed in a geography that the selection does not
    allow: such a candidate is dropped without figures.

    Raises:
        InputError: if the text template has a classified column, the model's id tells no geography,
            the prompt's labels are not the contract's, an answer is missing, or none of the first
            that are recorded is valid.
    """
    rows = bench.rows
    refuse_classified(rows.recipe, rows.contract)
    travel = travel_of(candidate.model, region=candidate.region)
    words = candidate.prompt.answers
    if set(words) != set(rows.labels):
        raise InputError(
            f"candidate {name}: key `prompt.answers` is for {', '.join(words)}; "
            f"the contract's labels are {' and '.join(rows.labels)}"
        )
    if len(set(map(plain, words.values()))) < len(words):
        raise InputError(
            f"candidate {name}: key `prompt.answers`: two answers differ only in letter case or in "
            "marks around them, which models change: choose other words"
        )
    shots = f"{candidate.examples} examples" if candidate.examples else "zero-shot"
    record = CandidateRecord(
        name=name,
        kind="bedrock",
        what=f"{candidate.model} in {candidate.region}, {shots}, output {candidate.output}",
        licence=candidate.licence,
        travel=travel,
        cost=Cost(usd=None, basis="not sent: its texts would be processed where they may not be"),
    )
    if travel.geography and travel.geography not in bench.selection.musts.geographies:
        return Scored(record, None)
    examples = draw_examples(candidate, rows.train, rows.labels, seed=rows.recipe.evaluate.seed)
    requests = [make_request(candidate, text, examples) for text in rows.test.texts]
    if responder.ledger is not None:
        _require_answers(name, candidate, responder.read(requests[:_FIRST], candidate))
    read = responder.read(requests, candidate)
    spoken = tuple(words[label] for label in rows.labels)
    fallback = rows.labels.index(candidate.unanswered)
    decided = [fallback if item.answer is None else spoken.index(item.answer) for _, item in read]
    model = ModelScores(class_members(np.array(decided), len(spoken)), _MIDDLE)
    if responder.recording.hand_made:  # no model gave the answers, so they count for nothing
        answers = _answers((), hand_made=True)
        cost = Cost(usd=None, basis="unknown: no model answered")
        return Scored(record.model_copy(update={"answers": answers, "cost": cost}), model)

    def score(texts: Sequence[str]) -> Sequence[float | None]:
        attacked = [make_request(candidate, text, examples) for text in texts]
        return [
            None if item.answer is None else float(spoken.index(item.answer))
            for _, item in responder.read(attacked, candidate)
        ]

    answers = _answers(read, hand_made=False)
    figures = {
        "injection": bench.injection(Scorer(scores=score), model, answers=spoken),
        "latency": _latency([line for line, _ in read]),
        "cost": _token_cost(candidate, answers, rows=len(read), prices=responder.prices),
        "answers": answers,
    }
    return Scored(record.model_copy(update=figures), model)


def draw_examples(
    candidate: BedrockCandidate, train: Split, labels: tuple[str, ...], *, seed: int
) -> tuple[Example, ...]:
    """Draws the examples of a few-shot prompt from the training rows, as many of each label.

    Labels take turns.

    Raises:
        InputError: if the training split has too few rows of a label.
    """
    each = candidate.examples // len(labels)
    order = np.random.default_rng(seed).permutation(len(train.keys))
    drawn = [
        [int(row) for row in order if train.labels[row] == label][:each]
        for label in range(len(labels))
    ]
    if min(map(len, drawn)) < each:
        raise InputError(f"key `examples`: the training split has no {each} rows of each label")
    return tuple(
        Example(text=train.texts[row], answer=candidate.prompt.answers[labels[train.labels[row]]])
        for turn in zip(*drawn, strict=True)
        for row in turn
    )


def _require_answers(
    name: str, candidate: BedrockCandidate, read: Sequence[tuple[Line, Reading]]
) -> None:
    if any(reading.meaning == "answer" for _, reading in read):
        return
    reasons = Counter(line.response.stop_reason for line, _ in read if line.response)
    listing = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    raise InputError(
        f"candidate {name}: none of the first {len(read)} answers of {candidate.model} is valid, "
        f"so no further row is sent (stop reasons: {listing}): raise `max_tokens` if they are cut "
        "or the model reasons first, say in `prompt` what to answer, or try another `output`; the "
        "answers are in the recording"
    )


def _answers(read: Sequence[tuple[Line, Reading]], *, hand_made: bool) -> Answers:
    meanings = Counter(reading.meaning for _, reading in read)
    responses = [line.response for line, _ in read if line.response is not None]
    return Answers(
        valid=meanings["answer"],
        invalid=meanings["invalid"],
        refused=meanings["refused"],
        stop_reasons=dict(sorted(Counter(item.stop_reason for item in responses).items())),
        input_tokens=sum(item.input_tokens for item in responses),
        output_tokens=sum(item.output_tokens for item in responses),
        days=tuple(sorted({line.at.date() for line, _ in read})),
        hand_made=hand_made,
    )


def _latency(lines: Sequence[Line]) -> Latency | None:
    times = [line.response.latency_ms for line in lines if line.response]
    seconds = np.array([time for time in times if time is not None]) / 1000
    if not len(seconds):
        return None
    how = "metrics.latencyMs of Converse, as the service measured it, without the network"
    p50, p99 = (float(share) for share in np.quantile(seconds, [0.5, 0.99]))
    return Latency(p50=p50, p99=p99, mean=float(seconds.mean()), requests=len(seconds), how=how)


def _token_cost(
    candidate: BedrockCandidate, answers: Answers, *, rows: int, prices: Prices
) -> Cost:
    """Returns the cost of a million predictions with as many tokens each as the test rows."""
    price = prices.of_tokens(candidate.model, region=candidate.region)
    if price is None:
        return Cost(
            usd=None,
            basis=f"unknown: no price of {candidate.model} in {candidate.region} is known: give "
            "that of its tokens with source and `region` in a file, "
            f"`tokens: {{{candidate.model}: ...}}`, as --prices FILE",
        )
    tokens_in, tokens_out = answers.input_tokens / rows, answers.output_tokens / rows
    return Cost(
        usd=tokens_in * price.input_usd + tokens_out * price.output_usd,
        basis=f"{tokens_in:.0f} tokens in at ${price.input_usd:g} a million and {tokens_out:.1f} "
        f"out at ${price.output_usd:g} ({_source(price)})",
    )
