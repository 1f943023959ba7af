import io
from datetime import timedelta

from rich.console import Console

from sashiko.pipeline.runner.run_record import LiveView, StepRecord, View, now, open_view, stamp


def render(view: LiveView, console: Console) -> str:
    with console.capture() as captured:
        console.print(view)
    return captured.get()


def console(height: int = 30) -> Console:
    return Console(file=io.StringIO(), width=60, height=height, force_terminal=False)


def test_the_table_has_state_time_and_last_line() -> None:
    screen = console()
    view = LiveView(screen)
    view.step(StepRecord(name="Make", type="Processing", status="succeeded", seconds=1.25))
    start = stamp(now() - timedelta(seconds=90))
    view.step(StepRecord(name="Train", type="Training", status="running", start=start))
    view.step(StepRecord(name="Old", type="Processing", status="cached", cached_from="run-1"))
    view.line("Train", "epoch 1/2 [bold]loss[/bold] 0.4 \x1b[2J" + "x" * 100)

    make, train, old = render(view, screen).splitlines()
    assert make.split() == ["Make", "succeeded", "1.2", "s"]
    assert " 90 s" in train
    assert "epoch 1/2 [bold]loss[/bold] 0.4" in train
    assert "\x1b" not in train
    assert len(train) <= 60
    assert old.split() == ["Old", "cached", "from", "run", "run-1"]


def test_on_a_low_screen_the_steps_that_wait_give_way() -> None:
    screen = console(height=4)
    view = LiveView(screen)
    for number in range(6):
        view.step(StepRecord(name=f"Wait{number}", type="Processing"))
    view.step(StepRecord(name="Train", type="Training", status="running"))
    assert [line.split()[0] for line in render(view, screen).splitlines()] == ["Train"]


def test_plain_text_has_a_line_per_event() -> None:
    stream = io.StringIO()
    with open_view(stream) as view:
        assert isinstance(view, View)
        view.step(StepRecord(name="A", type="Processing"))
        view.step(StepRecord(name="A", type="Processing", status="running"))
        view.line("A", "not shown")
        view.step(
            StepRecord(name="A", type="Processing", status="failed", seconds=2, reason="bad\x1b[1m")
        )
        view.note("two\nlines")
    assert stream.getvalue() == "A: running\nA: failed in 2.0 s: bad\ntwo\nlines\n"


def test_a_terminal_gets_the_table() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with open_view(stream) as view:
        view.step(StepRecord(name="Train", type="Training", status="running"))
    assert "Train" in stream.getvalue()
