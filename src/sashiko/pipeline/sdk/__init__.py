"""The building blocks of a pipeline, made with the SageMaker SDK; `pipelines/` alone imports them."""
