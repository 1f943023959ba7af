"""SageMaker's API as botocore ships it: the shapes of a step's arguments and properties."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.loaders import Loader
from botocore.model import ServiceModel

Shape = Any  # botocore's; it has no types


@dataclass(frozen=True)
class JobApi:
    """The two calls behind a job's step."""

    create: Shape  # the shape of the step's arguments
    describe: Shape  # the shape of the step's properties
    # The argument that Pipelines sets, with a value in the definition as prefix (the SDK's
    # `PipelineDefinitionConfig(use_custom_job_prefix=True)`).
    name: str


def shape(name: str) -> Shape:
    """Returns a shape by its name in the API."""
    return _model().shape_for(name)


@cache
def job_api(step_type: str) -> JobApi:
    """Returns the API calls of a step type that runs a job."""
    return JobApi(
        create=_model().operation_model(f"Create{step_type}Job").input_shape,
        describe=_model().operation_model(f"Describe{step_type}Job").output_shape,
        name=f"{step_type}JobName",
    )


@cache
def _model() -> ServiceModel:
    # The bundled model only: results must not depend on a newer one in ~/.aws/models.
    loader = Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    return ServiceModel(loader.load_service_model("sagemaker", "service-2"), "sagemaker")
