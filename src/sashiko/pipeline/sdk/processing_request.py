"""What the request of a processing job is made of: its command, its inputs and its outputs."""

from importlib.util import find_spec

from sagemaker.core.shapes import (
    ProcessingInput,
    ProcessingOutput,
    ProcessingS3Input,
    ProcessingS3Output,
)

from sashiko.errors import InputError
from sashiko.pipeline.sdk.account import Uri

_INPUT = "/opt/ml/processing/input"
_OUTPUT = "/opt/ml/processing/output"


def command(step: str, *, module: str | None, script: str | None) -> list[str] | None:
    """Returns the entrypoint of a step; None is the image's own.

    Raises:
        InputError: if the module does not exist.
    """
    if script:
        return ["python3", f"{_INPUT}/{script}"]
    if not module:
        return None
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:  # a parent package does not exist
        spec = None
    if spec is None or "." not in module:
        raise InputError(
            f"pipelines/: step {step}: there is no module `{module}` in a package; put the "
            f"project's own below src/, such as src/acme/steps/{module.rpartition('.')[2]}.py"
        )
    return ["python3", "-m", module]


def processing_input(name: str, uri: Uri, *, folder: str) -> ProcessingInput:
    """Returns an input that is mounted at `/opt/ml/processing/input/<folder>`."""
    return ProcessingInput(
        input_name=name,
        s3_input=ProcessingS3Input(
            s3_uri=uri,
            local_path=f"{_INPUT}/{folder}",
            s3_data_type="S3Prefix",
            s3_input_mode="File",
            s3_data_distribution_type="FullyReplicated",
        ),
    )


def processing_output(name: str, uri: Uri, *, root: bool) -> ProcessingOutput:
    """Returns an output, `/opt/ml/processing/output/<name>`, or the folder itself with `root`."""
    return ProcessingOutput(
        output_name=name,
        s3_output=ProcessingS3Output(
            s3_uri=uri,
            local_path=_OUTPUT if root else f"{_OUTPUT}/{name}",
            s3_upload_mode="EndOfJob",
        ),
    )
