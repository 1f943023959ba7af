"""A label of more than two classes, which the sweep does not take."""

from tests.e2e.tiny import add_class, copy_repository


def test_a_label_of_three_classes_is_refused_before_anything_is_trained(tmp_path) -> None:
    project = copy_repository(tmp_path / "project")
    add_class(project)

    gates = "quality.gates=[{metric: accuracy, minimum: 0.1, reason: any will do}]"
    attempt = project.call("run", "--sweep", "--recipe", "complaints", "--set", gates)

    assert attempt.returncode == 1
    assert "label `escalate` has 3 classes, and the sweep" in attempt.stderr
    assert not (project.home / "runs").exists()
