"""The images that the pipeline's jobs run in, one map.

All four are the project's own, in ECR repositories of the account. `train` and `bias` are the job
image with another default entrypoint: SageMaker starts a training image with the one argument
`train`, and the bias image stands in for Clarify's, which is started without any.
"""

from dataclasses import dataclass

from sashiko import __version__
from sashiko.aws.names import prefix
from sashiko.settings import Settings


@dataclass(frozen=True)
class JobImage:
    """An image's URI and what it runs when a job names no entrypoint."""

    uri: str
    entrypoint: tuple[str, ...]


@dataclass(frozen=True)
class JobImages:
    """The pipeline's images by what they are for."""

    job: JobImage
    train: JobImage
    bias: JobImage
    serving: JobImage

    def all(self) -> tuple[JobImage, ...]:
        """Returns every image."""
        return (self.job, self.train, self.bias, self.serving)


def job_images(settings: Settings) -> JobImages:
    """Names the images of an environment; nothing is looked up."""
    registry = f"{settings.account}.dkr.ecr.{settings.region}.amazonaws.com/{prefix(settings)}"

    def image(name: str, *entrypoint: str) -> JobImage:
        return JobImage(uri=f"{registry}/{name}:{__version__}", entrypoint=entrypoint)

    return JobImages(
        job=image("job", "python3"),
        train=image("train", "python3", "-m", "sashiko.steps.train"),
        bias=image("bias", "python3", "-m", "sashiko.steps.bias"),
        serving=image("serving", "python3"),
    )
