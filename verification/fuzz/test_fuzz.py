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


def test_a_finding_is_named_with_the_way_to_try_it(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.setattr(command, "KEPT", tmp_path)
    crash = tmp_path / "requests" / "crash-1"
    crash.parent.mkdir()
    (crash.parent / "crash-0").touch()  # of an earlier run
    code = f"open({str(crash)!r}, 'x'); print('AssertionError: too long'); raise SystemExit(77)"
    monkeypatch.setattr(command, "_command", lambda *_, **__: [sys.executable, "-c", code])
    assert command.fuzz("requests", seconds=1) == 1
    output = capfd.readouterr()
    assert output.out.count("\n") == 1
    assert f'make fuzz ARGS="requests --replay {crash}"' in output.out
    assert "AssertionError: too long" in output.err


def test_a_fuzzer_that_did_not_run_is_no_pass(tmp_path, monkeypatch, capfd) -> None:
    monkeypatch.setattr(command, "KEPT", tmp_path)
    (tmp_path / "requests").mkdir()
    monkeypatch.setattr(command, "_command", lambda *_, **__: ["false"])
    assert command.fuzz("requests", seconds=1) == 1
    assert "the fuzzer ended with status 1" in capfd.readouterr().out


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
