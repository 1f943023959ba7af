"""Candidates of Amazon Bedrock: decisions without scores, from recorded answers."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sashiko.account.prices import Prices
from sashiko.errors import InputError
from sashiko.evaluation.metrics.arrays import ModelScores
from sashiko.steps.injection import Scorer
from sashiko.steps.scored_splits import Split
from sashiko_packs.selection.converse import (
    Example,
    Ledger,
    Reading,
    Request,
    make_request,
    read_answer,
    require_price,
)
from sashiko_packs.selection.converse_client import (
    Endpoint,
    Line,
    Recorder,
    Recording,
    bedrock_runtime,
    replay,
)
from sashiko_packs.selection.file import BedrockCandidate, Selection, Travel, travel_of
from sashiko_packs.selection.local import Bench
from sashiko_packs.selection.record import Answers, Cost, Latency
from sashiko_packs.selection.rows import CandidateScores, JudgedRows, refuse_classified

_FIRST = 20  # requests; if no answer to them is valid, no further one is paid
_MIDDLE = 0.5  # between a negative decision, 0, and a positive one, 1


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
            client = bedrock_runtime(endpoint)
            Recorder(client, self.recording, self.ledger, endpoint).record(requests)
        return replay(requests, self.recording, command=self.command)


@contextmanager
def open_responder(
    selection: Selection, path: Path, prices: Prices, *, record: bool, command: str
) -> Iterator[Responder | None]:
    """Opens the recording of a selection; None if it has no candidate of Bedrock.

    Args:
        selection: the file.
        path: the recording.
        prices: of tokens, by model.
        record: whether missing answers are asked for, within the budget.
        command: the command line that repeats the selection.

    Raises:
        InputError: if the recording is damaged, or cannot be written.
    """
    if selection.bedrock is None:
        if record:
            raise InputError("--record: the selection has no candidate of kind bedrock")
        yield None
        return
    recording = Recording(path)
    if not record:
        yield Responder(
            selection=selection, recording=recording, ledger=None, prices=prices, command=command
        )
        return
    ledger = Ledger(selection.bedrock.budget)
    with recording.writing():
        for line, tokens in recording.spent():
            ledger.spend(tokens, prices.of_tokens(line.model, region=line.region))
        yield Responder(
            selection=selection, recording=recording, ledger=ledger, prices=prices, command=command
        )


def bedrock_candidate(
    name: str, candidate: BedrockCandidate, bench: Bench, responder: Responder
) -> CandidateScores:
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
    _check_labels(name, candidate, rows)
    allowed = bench.selection.musts.geographies
    if travel.geography and travel.geography not in allowed:
        return _dropped_candidate(name, candidate, travel)
    examples = draw_examples(candidate, rows.train, rows.labels, seed=rows.recipe.evaluate.seed)
    requests = [make_request(candidate, text, examples) for text in rows.test.texts]
    if responder.ledger is not None:
        _require_answers(name, candidate, responder.answer(requests[:_FIRST], candidate))
    lines = responder.answer(requests, candidate)
    readings = [_read(line, candidate) for line in lines]
    positive = candidate.prompt.answers[rows.labels[1]]
    fallback = float(candidate.unanswered == rows.labels[1])
    decisions = np.array([_decision(item, positive, fallback) for item in readings])
    model = ModelScores(decisions, _MIDDLE)

    def score(texts: Sequence[str]) -> Sequence[float | None]:
        attacked = [make_request(candidate, text, examples) for text in texts]
        answered = (_read(line, candidate) for line in responder.answer(attacked, candidate))
        return [
            float(item.answer == positive) if item.meaning == "answer" else None
            for item in answered
        ]

    negative = candidate.prompt.answers[rows.labels[0]]
    answers = _answers(lines, readings, hand_made=responder.recording.hand_made)
    return CandidateScores(
        name=name,
        kind="bedrock",
        what=_what(candidate),
        model=model,
        has_scores=False,
        # An injection into answers that nobody gave measures nothing.
        injection=None
        if answers.hand_made
        else bench.injection(Scorer(scores=score), model, answers=(negative, positive)),
        latency=None if answers.hand_made else _latency(lines),
        cost=_cost(candidate, answers, rows=len(lines), prices=responder.prices),
        licence=candidate.licence,
        travel=travel,
        answers=answers,
    )


def draw_examples(
    candidate: BedrockCandidate, train: Split, labels: tuple[str, str], *, seed: int
) -> tuple[Example, ...]:
    """Draws the examples of a few-shot prompt from the training rows, half of each label, in turn.

    Raises:
        InputError: if the training split has too few rows of a label.
    """
    half = candidate.examples // 2
    order = np.random.default_rng(seed).permutation(len(train.keys))
    drawn = [[int(row) for row in order if train.labels[row] == label][:half] for label in (0, 1)]
    if min(map(len, drawn)) < half:
        raise InputError(f"key `examples`: the training split has no {half} rows of each label")
    return tuple(
        Example(text=train.texts[row], answer=candidate.prompt.answers[labels[train.labels[row]]])
        for pair in zip(*drawn, strict=True)
        for row in pair
    )


def _check_labels(name: str, candidate: BedrockCandidate, rows: JudgedRows) -> None:
    if set(candidate.prompt.answers) != set(rows.labels):
        raise InputError(
            f"candidate {name}: key `prompt.answers` is for {', '.join(candidate.prompt.answers)}; "
            f"the contract's labels are {' and '.join(rows.labels)}"
        )


def _require_answers(name: str, candidate: BedrockCandidate, lines: Sequence[Line]) -> None:
    if any(_read(line, candidate).meaning == "answer" for line in lines):
        return
    reasons = Counter(line.response.stop_reason for line in lines if line.response)
    listing = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    raise InputError(
        f"candidate {name}: none of the first {len(lines)} answers of {candidate.model} is valid, "
        f"so no further row is sent (stop reasons: {listing}): raise `max_tokens` if they are cut "
        "or the model reasons first, say in `prompt` what to answer, or try another `output`; the "
        "answers are in the recording"
    )


def _dropped_candidate(name: str, candidate: BedrockCandidate, travel: Travel) -> CandidateScores:
    return CandidateScores(
        name=name,
        kind="bedrock",
        what=_what(candidate),
        model=None,
        has_scores=False,
        injection=None,
        latency=None,
        cost=Cost(usd=None, basis="not asked: its texts would go where they may not"),
        licence=candidate.licence,
        travel=travel,
    )


def _what(candidate: BedrockCandidate) -> str:
    shots = f"{candidate.examples} examples" if candidate.examples else "zero-shot"
    return f"{candidate.model} in {candidate.region}, {shots}, output {candidate.output}"


def _read(line: Line, candidate: BedrockCandidate) -> Reading:
    if line.response is None:
        raise RuntimeError("a recorded answer has a response")
    return read_answer(line.response, candidate.prompt.answers)


def _decision(reading: Reading, positive: str, fallback: float) -> float:
    return float(reading.answer == positive) if reading.meaning == "answer" else fallback


def _answers(lines: Sequence[Line], readings: Sequence[Reading], *, hand_made: bool) -> Answers:
    if hand_made:  # no model gave them, so they count for nothing
        lines, readings = (), ()
    meanings = Counter(item.meaning for item in readings)
    responses = [line.response for line in lines if line.response is not None]
    return Answers(
        valid=meanings["answer"],
        invalid=meanings["invalid"],
        refused=meanings["refused"],
        stop_reasons=dict(sorted(Counter(item.stop_reason for item in responses).items())),
        input_tokens=sum(item.input_tokens for item in responses),
        output_tokens=sum(item.output_tokens for item in responses),
        days=tuple(sorted({line.at.date() for line in lines})),
        hand_made=hand_made,
    )


def _latency(lines: Sequence[Line]) -> Latency | None:
    times = [line.response.latency_ms for line in lines if line.response]
    seconds = np.array([time for time in times if time is not None]) / 1000
    if not len(seconds):
        return None
    return Latency(
        p50=float(np.quantile(seconds, 0.5)),
        p99=float(np.quantile(seconds, 0.99)),
        mean=float(seconds.mean()),
        requests=len(seconds),
        how="metrics.latencyMs of Converse, as the service measured it, without the network",
    )


def _cost(candidate: BedrockCandidate, answers: Answers, *, rows: int, prices: Prices) -> Cost:
    """Returns the cost of a million predictions with as many tokens each as the test rows."""
    if answers.hand_made:
        return Cost(usd=None, basis="unknown: no model answered")
    price = prices.of_tokens(candidate.model, region=candidate.region)
    if price is None:
        return Cost(
            usd=None,
            basis=f"unknown: no price of {candidate.model} in {candidate.region} is known: give "
            "that of its tokens with source and `region` in a file, "
            f"`tokens: {{{candidate.model}: ...}}`, as --prices FILE",
        )
    tokens_in, tokens_out = answers.input_tokens / rows, answers.output_tokens / rows
    weak = ", not AWS's own page" if price.weak else ""
    return Cost(
        usd=tokens_in * price.input_usd + tokens_out * price.output_usd,
        basis=f"{tokens_in:.0f} tokens in at ${price.input_usd:g} a million and {tokens_out:.1f} "
        f"out at ${price.output_usd:g} ({price.source}, read {price.read}{weak})",
    )
