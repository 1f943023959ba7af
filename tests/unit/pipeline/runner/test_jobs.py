from typing import Any

from sashiko.pipeline.definition.definition_records import parse_definition
from sashiko.pipeline.definition.job_arguments import job_arguments
from sashiko.pipeline.runner.local_job import Image, Job, make_job


def job_of(step: dict[str, Any]) -> Job:
    [parsed] = parse_definition({"Steps": [step]}).steps
    return make_job(
        parsed.name,
        job_arguments(parsed, step["Arguments"]),
        name="job-1",
        images={"train": Image(("python3", "-m", "trainer"))},
        resolved=step["Arguments"],
    )


def test_a_training_image_is_started_with_the_argument_train(tiny: Any) -> None:
    step = tiny.training("T", "")
    del step["Arguments"]["AlgorithmSpecification"]["ContainerEntrypoint"]
    assert job_of(step).command == ("python3", "-m", "trainer", "train")


def test_a_training_jobs_own_entrypoint_is_taken_as_it_is(tiny: Any) -> None:
    step = tiny.training("T", "")
    step["Arguments"]["AlgorithmSpecification"] |= {
        "ContainerEntrypoint": ["run"],
        "ContainerArguments": ["--fast"],
    }
    assert job_of(step).command == ("run", "--fast")
