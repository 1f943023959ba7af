"""The steps of the batch pipeline, each a module that a job runs."""
