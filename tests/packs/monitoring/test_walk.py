from verification.benchmarks.monitoring_walk import PAGE, walk


def test_the_page_walks_from_a_run_to_the_approval_of_the_retrained_version() -> None:
    commands = list(walk(PAGE.read_text(encoding="utf-8")))
    starts = [" ".join(text.split()[:3]) for text, _ in commands]
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
    plan = next(text for text, _ in commands if "quarter.yaml" in text)
    assert plan.endswith("\nEND")
    [alarm] = [text for text, status in commands if status == 4]
    assert "--now 2026-09-23" in alarm
