import datetime as dt
import itertools
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sashiko.account.prices import TokenPrice
from sashiko.base.bedrock_calls import ATTEMPTS
from sashiko.errors import InputError
from sashiko_packs.selection import converse
from sashiko_packs.selection.file import Budget
from sashiko_packs.selection.recording import Endpoint, Recorder, Recording, replay
from tests.packs.selection.converse_service import (
    INPUT_TOKENS,
    OUTPUT_TOKENS,
    answered,
    client,
    error,
    serving,
    stop_reasons,
)
from tests.packs.selection.selections import MODEL, bedrock

ANSWERS = {"late": "yes", "paid": "no"}


def kept(value: dict[str, Any]) -> converse.Response:
    return converse.read_response(json.dumps(value).encode(), most=converse.Tokens(1000, 16))


def meaning(value: dict[str, Any]) -> tuple[str, str | None]:
    reading = converse.read_answer(kept(value), ANSWERS)
    return reading.meaning, reading.answer


def test_every_stop_reason_and_answer_has_a_meaning() -> None:
    assert set(converse.STOP_REASONS) == set(stop_reasons())
    assert meaning(answered("yes", stop_reason="tired")) == ("invalid", None)

    tool = {"name": "give_answer", "input": {"answer": "no"}}
    assert meaning(answered(tool=tool, stop_reason="tool_use")) == ("answer", "no")
    other = {"name": "delete_everything", "input": {"answer": "no"}}
    assert meaning(answered(tool=other, stop_reason="tool_use")) == ("invalid", None)


@pytest.mark.parametrize("reason", stop_reasons())
def test_only_a_finished_answer_counts(reason: str) -> None:
    expected = converse.STOP_REASONS[reason]
    answer = "yes" if expected == "answer" else None
    assert meaning(answered("yes", stop_reason=reason)) == (expected, answer)


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        '"YES"',
        '{"answer": "yes"}',
        "**yes**\n",
        "\u201cYes\u201d",
        "yes\u3002",
        "\uff39\uff45\uff53\uff0e",
        '```json\n{"answer": "yes"}\n```',
        "Yes, because the customer has waited for a year.",
        "Yes\n\nThe customer has no money left.",
    ],
)
def test_form_quotes_and_an_explanation_do_not_count(text: str) -> None:
    assert meaning(answered(text)) == ("answer", "yes")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yes and no",
        "No. Or rather: yes",
        "Yes because",
        "I cannot help with that.",
        '{"answer": "maybe"}',
        "{",
    ],
)
def test_anything_else_is_invalid(text: str) -> None:
    assert meaning(answered(text)) == ("invalid", None)


def test_cached_input_counts_and_a_changed_prompt_or_model_is_another_request() -> None:
    value = answered()
    value["usage"] |= {"cacheReadInputTokens": 7, "cacheWriteInputTokens": 5}
    response = kept(value)
    assert response.input_tokens == INPUT_TOKENS + 12
    assert response.output_tokens == OUTPUT_TOKENS

    first = converse.make_request(bedrock(), "a row")
    assert converse.make_request(bedrock(), "a row").key == first.key
    for changes in ({"max_tokens": 17}, {"model": "amazon.nova-2-lite-v1:0"}, {"output": "tool"}):
        assert converse.make_request(bedrock(**changes), "a row").key != first.key


AMPLE = Budget(tokens=10_000_000)
PRICE = TokenPrice(input_usd=1.0, output_usd=4.0, source="of the test", read=dt.date(2026, 1, 2))
EACH = INPUT_TOKENS + OUTPUT_TOKENS
COMMAND = "sashiko select choice.yaml"


def requests(count: int, **changes: Any) -> list[converse.Request]:
    candidate = bedrock(**changes)
    return [converse.make_request(candidate, f"row {number}") for number in range(count)]


def record(service, path, batch, *, budget=AMPLE, concurrency=4, price=None, read_timeout=20):
    recording, ledger = Recording(path), converse.Ledger(budget)
    endpoint = Endpoint(region="us-east-1", price=price, concurrency=concurrency, longest_answer=16)
    with recording.writing():
        for _, tokens in recording.spent():
            ledger.spend(tokens, price)
        connection = client(service, read_timeout=read_timeout)
        Recorder(connection, recording, ledger, endpoint).record(batch)
    return ledger


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, in seconds, each the longest; none is waited for."""
    seconds: list[float] = []
    monkeypatch.setattr("sashiko.base.bedrock_calls.time.sleep", seconds.append)
    monkeypatch.setattr("sashiko.base.bedrock_calls.random.uniform", lambda _, longest: longest)
    return seconds


def first_then(*replies: Any) -> Callable[[str, int], Any]:
    replies_of: dict[str, Any] = {}

    def reply(text: str, _: int) -> Any:
        left = replies_of.setdefault(text, itertools.chain(replies, itertools.repeat(answered())))
        return next(left)

    return reply


@pytest.mark.parametrize("output", ["text", "json_schema", "tool"])
def test_every_form_of_a_request_is_one_that_the_service_knows(tmp_path: Path, output: str) -> None:
    candidate = bedrock(output=output)
    examples = (converse.Example("an old text", "yes"), converse.Example("another", "no"))
    with serving(lambda *_: answered()) as service:
        record(service, tmp_path / "r.jsonl", [converse.make_request(candidate, "a row", examples)])
    assert service.models == [MODEL]
    assert "an old text\nLate?\nyes" in service.texts[0]
    assert service.texts[0].endswith("a row\nLate?")


def test_the_answers_are_replayed_without_a_service(tmp_path: Path) -> None:
    batch = requests(10)
    with serving(lambda text, _: answered("yes" if "3" in text else "no")) as service:
        record(service, tmp_path / "r.jsonl", batch)
    lines = replay(batch, Recording(tmp_path / "r.jsonl"), command=COMMAND)
    read = [converse.read_answer(line.response, ANSWERS).answer for line in lines]
    assert [number for number, answer in enumerate(read) if answer == "yes"] == [3]


def test_a_miss_names_the_key_and_the_command_that_records(tmp_path: Path) -> None:
    batch = requests(1)
    with pytest.raises(InputError) as caught:
        replay(batch, Recording(tmp_path / "r.jsonl"), command=COMMAND)
    assert batch[0].key in str(caught.value)
    assert f"`{COMMAND} --record`" in str(caught.value)


def test_equal_texts_are_sent_once(tmp_path: Path) -> None:
    with serving(lambda *_: answered()) as service:
        record(service, tmp_path / "r.jsonl", requests(5) + requests(5))
    assert len(service.bodies) == 5


@pytest.mark.parametrize(
    ("fault", "billed"),
    [
        ("ThrottlingException", False),
        ("ServiceUnavailableException", False),
        ("ModelNotReadyException", False),
        ("InternalServerException", True),
        ("ModelErrorException", True),
        ("ModelTimeoutException", True),
        ("cut", True),
        ("timeout", True),
    ],
)
def test_a_fault_is_sent_again_and_counts_if_the_model_may_have_run(tmp_path, fault, billed):
    batch = requests(1)
    seconds = 0.5 if fault == "timeout" else 20
    with serving(first_then(fault)) as service:
        ledger = record(service, tmp_path / "r.jsonl", batch, read_timeout=seconds)
    assert len(service.bodies) == 2
    lost = batch[0].most_input_tokens + batch[0].most_output_tokens
    assert ledger.tokens == EACH + (lost if billed else 0)
    spent = [tokens.total for _, tokens in Recording(tmp_path / "r.jsonl").spent()]
    assert spent == ([lost] if billed else []) + [EACH]  # after a restart too


def test_the_waits_between_attempts_grow_up_to_a_cap(tmp_path: Path, waits: list[float]) -> None:
    with serving(first_then(*["ThrottlingException"] * 7)) as service:
        record(service, tmp_path / "r.jsonl", requests(1))
    assert waits == [0.5, 1, 2, 4, 8, 16, 20]


def paid(**changes: Any) -> bytes:
    """The bytes of a response of which a member is not as the API describes it."""
    return json.dumps(answered() | changes).encode()


def with_content(content: Any) -> bytes:
    return paid(output={"message": {"role": "assistant", "content": content}})


_REDACTED = {"reasoningContent": {"redactedContent": "gIGC/w=="}}  # bytes that are not UTF-8
_NESTED = b'{"output":' + b"[" * 50_000 + b"]" * 50_000 + b"}"
_LONG = b'{"output": {"message": {"content": ' + b"9" * 5_000 + b"}}}"


@pytest.mark.parametrize(
    ("body", "usage_is_valid"),
    [
        pytest.param(b"{}", False, id="lacking"),
        pytest.param(b"[]", False, id="a list"),
        pytest.param(_NESTED, False, id="deep"),
        pytest.param(_LONG, False, id="a long number"),
        pytest.param(with_content("yes"), True, id="content is a text"),
        pytest.param(with_content([{"text": "yes \ud800"}]), True, id="lone surrogate"),
        pytest.param(paid(stopReason=7), True, id="stop reason is a number"),
        pytest.param(paid(usage={"inputTokens": "many"}), False, id="tokens are a text"),
        pytest.param(paid(output="yes"), True, id="output is a text"),
    ],
)
def test_a_paid_answer_is_recorded_whatever_its_bytes(tmp_path, body, usage_is_valid) -> None:
    batch, path = requests(2), tmp_path / "r.jsonl"
    with serving(lambda *_: body) as service:
        ledger = record(service, path, batch)
        assert len(service.bodies) == 2  # none is paid twice
    most = batch[0].most_input_tokens + batch[0].most_output_tokens
    assert ledger.tokens == 2 * (EACH if usage_is_valid else most)
    recording = Recording(path)  # all of it can be read
    assert sum(tokens.total for _, tokens in recording.spent()) == ledger.tokens
    valid = b'"usage": ' in body and not usage_is_valid  # the tokens alone cannot be read
    for line in replay(batch, recording, command=COMMAND):
        reading = converse.read_answer(line.response, ANSWERS)
        assert reading.meaning == ("answer" if valid else "invalid")


def read_back(path: Path, body: bytes) -> tuple[converse.Response, converse.Reading]:
    batch = requests(1)
    with serving(lambda *_: body) as service:
        assert record(service, path, batch).tokens == EACH
    (line,) = replay(batch, Recording(path), command=COMMAND)
    return line.response, converse.read_answer(line.response, ANSWERS)


def test_no_answer_is_lost_for_what_stands_beside_it(tmp_path: Path) -> None:
    response, reading = read_back(tmp_path / "1.jsonl", paid(metrics={"latencyMs": "fast"}))
    assert (response.latency_ms, reading.answer) == (None, "yes")
    redacted = with_content([_REDACTED, {"text": "yes"}])
    response, reading = read_back(tmp_path / "2.jsonl", redacted)
    assert (response.content[0], reading.answer) == (_REDACTED, "yes")
    not_utf_8 = with_content([{"text": "yes X"}]).replace(b"X", b"\xff\xfe")
    assert read_back(tmp_path / "3.jsonl", not_utf_8)[1].meaning == "invalid"


def test_a_models_own_fields_are_sent(tmp_path: Path) -> None:
    fields = {"thinking": {"type": "enabled", "budget_tokens": 1024}}
    batch = requests(1, additional_fields=fields, max_tokens=2048, temperature=None)
    with serving(lambda *_: answered()) as service:
        record(service, tmp_path / "r.jsonl", batch)
    assert service.bodies[0]["additionalModelRequestFields"] == fields
    assert batch[0].most_output_tokens == 2048
    assert "additionalModelRequestFields" not in requests(1)[0].body


def test_a_long_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A timeout is billed: an answer of 16,000 tokens takes minutes."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")

    def patience(longest: int) -> float:
        endpoint = Endpoint(region="us-east-1", price=None, concurrency=1, longest_answer=longest)
        return float(endpoint.client().meta.config.read_timeout)

    assert patience(16) < 70
    assert patience(16_000) >= 1600


def test_the_bound_of_the_input_counts_bytes() -> None:
    """A tokenizer of bytes makes three tokens of such a letter."""
    text = "\u3044" * 1000
    assert converse.make_request(bedrock(), text).most_input_tokens >= 3 * len(text)


def test_a_service_that_throttles_without_end_is_given_up(tmp_path: Path) -> None:
    with (
        serving(lambda *_: error("ThrottlingException")) as service,
        pytest.raises(InputError, match=r"ThrottlingException.*concurrency") as caught,
    ):
        record(service, tmp_path / "r.jsonl", requests(1))
    assert len(service.bodies) == ATTEMPTS
    assert "continues from what is recorded" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AccessDeniedException", "bedrock:InvokeModel"),
        ("ResourceNotFoundException", "no model of this id"),
        ("ValidationException", "output: text"),
    ],
)
def test_a_refusal_is_final_and_says_what_to_do(tmp_path: Path, code: str, advice: str) -> None:
    with (
        serving(lambda *_: error(code)) as service,
        pytest.raises(InputError, match=f"{code}.*{advice}"),
    ):
        record(service, tmp_path / "r.jsonl", requests(50), concurrency=2)
    assert len(service.bodies) <= 2


def test_the_budget_of_tokens_stops_before_it_is_exceeded_and_is_taken_up(tmp_path: Path) -> None:
    batch, path = requests(20), tmp_path / "r.jsonl"
    most = batch[0].most_input_tokens + batch[0].most_output_tokens
    budget = Budget(tokens=most + 4 * EACH)
    with serving(lambda *_: answered()) as service:
        with pytest.raises(InputError, match=r"`bedrock.budget`.*continues"):
            record(service, path, batch, budget=budget)
        sent = len(service.bodies)
        assert sent * EACH <= budget.tokens < (sent + 20) * most
        assert sent >= 1
        ledger = record(service, path, batch)
        assert len(service.bodies) == 20
    assert ledger.tokens == 20 * EACH


def test_requests_at_a_time_do_not_end_a_budget_that_has_room(tmp_path: Path) -> None:
    """Eight at once reserved eight worst cases, and 4,000 tokens ended after three answers."""
    batch = requests(40)
    most = batch[0].most_input_tokens + batch[0].most_output_tokens
    assert 3 * most < 4_000 < 8 * most
    with (
        serving(lambda *_: answered()) as service,
        pytest.raises(InputError, match=r"of 4,000 tokens are spent"),
    ):
        record(service, tmp_path / "r.jsonl", batch, budget=Budget(tokens=4_000), concurrency=8)
    assert len(service.bodies) * EACH > 4_000 - most - EACH


def test_a_budget_may_be_used_exactly() -> None:
    most = converse.Tokens(60, 40)
    ledger = converse.Ledger(Budget(tokens=200, usd=2 * most.usd(PRICE)))
    for _ in range(2):
        with ledger.reservation(most, PRICE):
            pass
    assert ledger.tokens == 200
    with (
        pytest.raises(converse.BudgetExceededError, match="200 of 200"),
        ledger.reservation(most, PRICE),
    ):
        pass


def test_input_and_output_have_their_own_prices() -> None:
    assert converse.Tokens(1_000_000, 0).usd(PRICE) == 1.0
    assert converse.Tokens(0, 1_000_000).usd(PRICE) == 4.0
    with converse.Ledger(Budget(tokens=10, usd=converse.Tokens(0, 1).usd(PRICE))).reservation(
        converse.Tokens(0, 1), PRICE
    ):
        pass
    with (
        pytest.raises(converse.BudgetExceededError, match=r"\$"),
        converse.Ledger(Budget(tokens=10, usd=converse.Tokens(0, 1).usd(PRICE))).reservation(
            converse.Tokens(0, 2), PRICE
        ),
    ):
        pass


def test_the_budget_of_dollars_stops_too(tmp_path: Path) -> None:
    batch = requests(20)
    usd = (INPUT_TOKENS * 1.0 + OUTPUT_TOKENS * 4.0) / 1e6
    budget = Budget(tokens=10_000_000, usd=0.002)
    with (
        serving(lambda *_: answered()) as service,
        pytest.raises(InputError, match=r"of \$0\.002 are spent"),
    ):
        record(service, tmp_path / "r.jsonl", batch, budget=budget, price=PRICE, concurrency=1)
    assert 1 <= len(service.bodies) < 20
    assert len(service.bodies) * usd <= 0.002


def test_a_budget_of_dollars_without_a_price_is_refused() -> None:
    with pytest.raises(InputError, match="no price of"):
        converse.require_price(Budget(tokens=1, usd=1.0), None, model=MODEL)
    converse.require_price(Budget(tokens=1), None, model=MODEL)


def test_a_killed_run_pays_for_no_answer_twice(tmp_path: Path) -> None:
    """The last line is cut, and one request was under way: it alone is sent again."""
    batch, path = requests(4), tmp_path / "r.jsonl"
    with serving(lambda *_: answered()) as service:
        record(service, path, batch[:3], concurrency=1)
        content = path.read_bytes()
        path.write_bytes(content[:-20])
        ledger = record(service, path, batch)
        assert len(service.bodies) == 3 + 2
    lost = batch[2].most_input_tokens + batch[2].most_output_tokens
    assert ledger.tokens == 4 * EACH + lost
    replay(batch, Recording(path), command=COMMAND)
    assert sum(tokens.total for _, tokens in Recording(path).spent()) == ledger.tokens


def test_two_processes_do_not_record_to_one_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with (
        Recording(path).writing(),
        pytest.raises(InputError, match="another process"),
        Recording(path).writing(),
    ):
        pass


def test_a_hand_made_recording_takes_no_answers_and_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text('{"kind": "converse-recording", "hand_made": true}\n')
    with pytest.raises(InputError, match="by hand"), Recording(path).writing():
        pass

    path.write_text('{"kind": "converse-recording"}\n{"event": "answer"}\n')
    with pytest.raises(InputError, match=r"r\.jsonl: line 2"):
        Recording(path)


def test_a_recording_has_no_text_of_a_request_and_is_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with serving(lambda *_: answered()) as service:
        record(service, path, [converse.make_request(bedrock(), "Erika Mustermann is late")])
    assert "Mustermann" not in path.read_text()
    assert path.stat().st_mode & 0o077 == 0
    events = [json.loads(line).get("event") for line in path.read_text().splitlines()]
    assert events == [None, "sent", "answer"]


def test_no_more_requests_at_a_time_than_allowed(tmp_path: Path) -> None:
    both, calls = threading.Barrier(2), itertools.count()

    def answer(*_: object) -> dict[str, Any]:
        if (
            next(calls) < 2
        ):  # the first two wait for each other, so that they overlap on any machine
            both.wait(timeout=60)
        return answered()

    with serving(answer) as service:
        record(service, tmp_path / "r.jsonl", requests(40), concurrency=3)
    assert 1 < service.most_under_way <= 3
