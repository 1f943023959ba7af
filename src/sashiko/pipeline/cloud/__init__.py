"""Runs of the pipeline in an account: staging, start, executions, logs."""
