"""A chain here: each part is a step, with its own result, log and cache key."""

from typing import Any

import pytest

from sashiko.base.chain_parts import Part, words
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.definition.unchain import unchain
from tests.unit.pipeline.runner.tiny import PRELUDE, Tiny

FIRST = "(OUT / 'out/x').write_text((IN / 'in/x').read_text() + sys.argv[1])"
SECOND = "(OUT / 'out/x').write_text((IN / 'made/x').read_text() + '!')"
PARTS = (
    Part("First", ("code/run.py",), {"code": "input/staged/First", "in": "input/in"}, ("a",)),
    Part("Second", ("code/run.py",), {"code": "input/staged/Second", "made": "output/First/out"}),
)
COPY = "(OUT / 'out/x').write_text((IN / 'in/x').read_text())"


def chain(tiny: Tiny, *, second: str = SECOND, parts: tuple[Part, ...] = PARTS) -> list[Any]:
    """A chain of two, between the steps Before and After."""
    tiny.put("s3://b/raw/x", "1")
    for name, code in {"First": FIRST, "Second": second}.items():
        tiny.put(f"s3://b/code/{name}/run.py", PRELUDE + code)
    step = tiny.job(
        "First-Second",
        command=["python3", "-m", "sashiko.steps.job_parts"],
        arguments=[word for part in parts for word in words(part)],
        inputs={"staged": "s3://b/code", "in": tiny.uri("Before")},
        outputs=("First/out", "Second/out"),
        after=["Before"],
    )
    for output in step["Arguments"]["ProcessingOutputConfig"]["Outputs"]:
        output["OutputName"] = output["OutputName"].replace("/", "-")
    return [
        tiny.job("Before", COPY, inputs={"in": "s3://b/raw"}),
        step,
        tiny.job("After", COPY, inputs={"in": tiny.uri("First-Second", "Second-out")}),
    ]


def test_each_part_is_a_step_and_what_follows_reads_its_output(tiny: Any, status_of: Any) -> None:
    record = tiny.run(*chain(tiny))

    assert status_of(record) == dict.fromkeys(("Before", "First", "Second", "After"), "succeeded")
    assert (tiny.output(record, "After") / "x").read_text() == "1a!"
    assert record.step("Second").inputs["made"].uri == record.step("First").outputs["out"].uri
    assert {step.log for step in record.steps} >= {"logs/First.log", "logs/Second.log"}
    assert all(step.seconds for step in record.steps)


@pytest.mark.parametrize("again", ["the same command", "--from Second"])
def test_a_chain_that_was_killed_goes_on_at_the_part(tiny: Any, status_of: Any, again: str) -> None:
    killed = tiny.run(*chain(tiny, second="os.kill(os.getpid(), signal.SIGKILL)"))
    assert status_of(killed) == {
        "Before": "succeeded", "First": "succeeded", "Second": "failed", "After": "not_run",
    }  # fmt: skip
    if again == "--from Second":
        tiny.run(*chain(tiny))

    record = tiny.run(*chain(tiny), from_step="Second" if again == "--from Second" else None)

    assert status_of(record) == {
        "Before": "cached", "First": "cached", "Second": "succeeded", "After": "succeeded",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"ContainerArguments": ["--module", "x"]}, "begin with --part NAME"),
        ({"ContainerArguments": list(words(PARTS[1]))}, "`output/First/out` is no input"),
        (
            {"ContainerArguments": list(words(Part("First", ("-m", "x"), {"in": "input/no"})))},
            "`/opt/ml/processing/input/no` is in no input or output of the job",
        ),
        ({"ContainerArguments": None}, "not those of sashiko.steps.job_parts"),
    ],
)
def test_a_chain_with_other_arguments_is_refused_with_its_step(
    tiny: Any, change: dict[str, Any], problem: str
) -> None:
    steps = chain(tiny)
    steps[1]["Arguments"]["AppSpecification"] |= change
    with pytest.raises(InputError, match=f"step `First-Second`, Arguments.*{problem}"):
        tiny.run(*steps)


def test_of_a_chain_only_outputs_can_be_used(tiny: Any) -> None:
    before, step, after = chain(tiny)
    after["Arguments"]["Environment"] = {"JOB": {"Get": "Steps.First-Second.ProcessingJobName"}}
    with pytest.raises(InputError, match="of a chain only outputs can be used"):
        unchain(parse_definition({"Steps": [before, step, after]}))


def test_what_runs_beside_a_gate_ends_and_a_gate_says_why_what_runs_beside_it_failed(
    tiny: Any, status_of: Any
) -> None:
    verdict = '{"passed": false, "summary": "the rows are bad", "checks": []}'
    judges = f"time.sleep(0.3); (OUT / 'out/verdict.json').write_text({verdict!r})"
    gate = tiny.function("Gate", "gate", {})
    uri = {"Std:Join": {"On": "/", "Values": [tiny.uri("Judge"), "verdict.json"]}}
    gate["Arguments"] = {"Judge": uri}
    steps = [
        tiny.job("Before"),
        tiny.job("Fails", "sys.exit('error: bad row')", after=["Before"]),
        tiny.job("Judge", judges, after=["Before"]),
        gate,
        tiny.job("Beside", after=["Judge"]),
        tiny.job("Behind", after=["Gate"]),
    ]
    record = tiny.run(*steps, cores=1)

    assert record.status == "blocked"
    assert record.reason == "step Gate: the rows are bad"
    assert status_of(record)["Fails"] == "failed"
    assert status_of(record)["Behind"] == "not_run"

    without = [step for step in steps if step["Name"] != "Fails"]
    statuses = status_of(tiny.run(*without, cores=1))
    # Where the gate was slower, it ended in the first run.
    assert statuses.pop("Beside") in {"succeeded", "cached"}
    assert statuses == {
        "Before": "cached", "Judge": "cached", "Gate": "blocked", "Behind": "not_run",
    }  # fmt: skip
