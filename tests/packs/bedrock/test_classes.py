"""A label of more than two classes, or a number, which Amazon Bedrock's import does not take."""

from tests.e2e.tiny import add_class, copy_repository


def test_a_label_of_three_classes_is_refused_before_a_call_to_aws(tmp_path) -> None:
    project = copy_repository(tmp_path / "project")
    add_class(project)

    attempt = project.call("model", "bedrock", "import", "1", "--recipe", "complaints-llm")

    assert attempt.returncode == 1
    assert "label `escalate` has 3 classes, and Amazon Bedrock's import" in attempt.stderr


def test_a_label_that_is_a_number_is_refused_before_a_call_to_aws(tmp_path) -> None:
    project = copy_repository(tmp_path / "project")

    attempt = project.call("model", "bedrock", "import", "1", "--recipe", "days")

    assert attempt.returncode == 1
    assert "label `days_left` is a number, and Amazon Bedrock's import takes" in attempt.stderr
