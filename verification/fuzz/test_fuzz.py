"""The fuzzer's seeds, run without the fuzzer on any machine; and its report of a finding."""

import sys

import pytest

from verification.fuzz import __main__ as command
from verification.fuzz import archives, requests

SEEDS = {
    f"{parser.NAME} {name}": (parser, data)
    for parser in (archives, requests)
    for name, data in parser.seeds().items()
}


@pytest.mark.parametrize("name", SEEDS)
def test_a_seed(tmp_path, name) -> None:
    parser, data = SEEDS[name]
    parser.check(data, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", SEEDS)
def test_a_seed_that_was_bent(tmp_path, name) -> None:
    parser, data = SEEDS[name]
    for seed in range(20):
        odd = parser.mutate(data, change=lambda part: part[: len(part) // 2], seed=seed)
        parser.check(odd[: parser.LONGEST], tmp_path)


def test_a_finding_is_named_with_the_way_to_try_it(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(command, "KEPT", tmp_path)
    (tmp_path / "requests").mkdir()
    crash = tmp_path / "requests" / "crash-1"
    says = f"""\
#2048	pulse  cov: 81 ft: 172 corp: 31/9Kb lim: 4096 exec/s: 62365 rss: 50Mb

 === Uncaught Python exception: ===
AssertionError: too long
artifact_prefix='{tmp_path}/requests/'; Test unit written to {crash}
stat::number_of_executed_units: 2345
"""
    fake = "import sys; sys.stderr.write(sys.argv[1]); sys.exit(77)"
    monkeypatch.setattr(command, "_command", lambda *_, **__: [sys.executable, "-c", fake, says])
    assert command.fuzz("requests", seconds=1) == 1
    output = capsys.readouterr()
    assert "2,345 executions" in output.out
    assert "81 branches, 172 features" in output.out
    assert f'make fuzz ARGS="requests --replay {crash}"' in output.out
    assert "AssertionError: too long" in output.err


def test_an_input_is_tried_again(tmp_path, monkeypatch, capsys) -> None:
    file = tmp_path / "crash-1"
    monkeypatch.setattr(sys, "argv", ["fuzz", "requests", "--replay", str(file)])
    assert command.main() == 1
    assert "cannot be read" in capsys.readouterr().err
    file.write_bytes(requests.seeds()["texts"])
    assert command.main() == 0
    monkeypatch.setattr(requests.payload, "_excerpt", str)
    file.write_bytes(b"x" * 5000)
    with pytest.raises(AssertionError):
        command.main()
