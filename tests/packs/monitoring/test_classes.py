"""A label of more than two classes, which monitoring does not judge."""

from tests.e2e.tiny import add_class, copy_repository


def test_a_label_of_three_classes_is_refused_before_a_row_is_captured(tmp_path) -> None:
    project = copy_repository(tmp_path / "project")
    add_class(project)

    replay = project.call("model", "replay", "rows.csv", "--recipe", "complaints")

    assert replay.returncode == 1
    assert "label `escalate` has 3 classes, and the pack `monitoring`" in replay.stderr
    assert not (project.home / "capture").exists()
