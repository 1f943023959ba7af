"""A label of more than two classes, or a number, which Amazon Bedrock's import does not take."""

from tests.e2e.tiny import add_class, copy_repository


def test_a_label_of_three_classes_or_a_number_is_refused_before_a_call_to_aws(tmp_path) -> None:
    project = copy_repository(tmp_path / "project")
    add_class(project)
    for recipe, reason in (
        ("complaints-llm", "label `escalate` has 3 classes, and Amazon Bedrock's import"),
        ("days", "label `days_left` is a number, and Amazon Bedrock's import takes"),
    ):
        attempt = project.call("model", "bedrock", "import", "1", "--recipe", recipe)
        assert (attempt.returncode, reason in attempt.stderr) == (1, True)
