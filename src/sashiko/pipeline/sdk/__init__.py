"""The building blocks of a pipeline, made with the SageMaker SDK, which nothing else imports."""
