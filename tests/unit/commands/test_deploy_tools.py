"""A delivery's builds install requirements/deploy.txt alone: what they run has to import there."""

from tests.unit.commands.deploy_tools import LOCK, import_with_the_lock, locked


def test_preflight_needs_nothing_but_the_lock() -> None:
    import_with_the_lock("sashiko.cli", command="sashiko.commands.doctor")


def test_a_deploy_installs_no_torch_and_everything_by_hash() -> None:
    text = LOCK.read_text()
    assert not {"torch", "mlflow", "sagemaker"} & set(locked())
    assert text.count("--hash=sha256:") >= text.count("==") == len(locked())
