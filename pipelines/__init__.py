"""The SageMaker pipelines, written once with the SDK and run by SageMaker or by `sashiko run`."""
