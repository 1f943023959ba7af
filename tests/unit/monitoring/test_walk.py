"""The documented walk from a run to the retrained version, without the runs."""

from verification.benchmarks.monitoring_walk import PAGE, walk


def test_the_page_walks_from_a_run_to_the_approval_of_the_retrained_version() -> None:
    commands = list(walk(PAGE.read_text(encoding="utf-8")))
    starts = [" ".join(command.text.split()[:3]) for command in commands]
    order = [
        "make run RECIPE=complaints",
        "sashiko model approve",
        "cat > quarter.yaml",
        "sashiko data generate",
        "sashiko model replay",
        "sashiko monitor --recipe",
        "sashiko monitor audit",
        "sashiko run --recipe",
        "sashiko model approve",
    ]
    remaining = iter(starts)
    assert all(command in remaining for command in order), starts
    plan = next(command.text for command in commands if "quarter.yaml" in command.text)
    assert plan.endswith("\nEND")
    [alarm] = [command.text for command in commands if command.status == 4]
    assert "--now 2026-09-23" in alarm
