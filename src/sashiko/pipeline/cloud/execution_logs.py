"""Logs of an execution's jobs, from CloudWatch."""

from collections.abc import Iterator
from typing import Any

from sashiko.account.account import Account, BusyError
from sashiko.errors import InputError
from sashiko.pipeline.cloud.executions import STARTED_BY

_GROUPS = {"Processing": "/aws/sagemaker/ProcessingJobs", "Training": "/aws/sagemaker/TrainingJobs"}


class JobLogs:
    """The logs of SageMaker's jobs in an account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._closed = False

    def lines(self, kind: str, job: str) -> Iterator[str]:
        """Yields all that a job wrote, container by container.

        `kind` is `Processing` or `Training`.

        Raises:
            InputError: if there is none (yet), or the caller may not read it.
        """
        streams = self._streams(kind, job)
        if not streams:
            raise InputError(f"job {job} has written nothing to {_GROUPS[kind]} (yet)")
        for stream in streams:
            yield from self._events(kind, stream)

    def last_line(self, kind: str, job: str) -> str:
        """Returns a job's newest line; "" if there is none, or the caller may not read it."""
        if self._closed:
            return ""
        try:
            streams = self._streams(kind, job)
            if not streams:
                return ""
            page = self._account.read(
                "logs",
                "get_log_events",
                logGroupName=_GROUPS[kind],
                logStreamName=streams[-1],
                limit=1,
                startFromHead=False,
            )
        except BusyError:
            return ""
        except InputError:  # the line is optional: without the permission, do not try again
            self._closed = True
            return ""
        events = (page or {}).get("events", [])
        return str(events[-1]["message"]) if events else ""

    def _streams(self, kind: str, job: str) -> list[str]:
        response = self._account.read(
            "logs",
            "describe_log_streams",
            absent=("ResourceNotFoundException",),
            role=STARTED_BY,
            logGroupName=_GROUPS[kind],
            logStreamNamePrefix=f"{job}/",
        )
        return [item["logStreamName"] for item in (response or {}).get("logStreams", ())]

    def _events(self, kind: str, stream: str) -> Iterator[str]:
        token: dict[str, Any] = {}
        while True:
            page = self._account.read(
                "logs",
                "get_log_events",
                role=STARTED_BY,
                logGroupName=_GROUPS[kind],
                logStreamName=stream,
                startFromHead=True,
                **token,
            )
            assert page is not None  # noqa: S101  # it has no `absent`
            yield from (event["message"] for event in page["events"])
            # At the end CloudWatch returns the token of the request.
            if {"nextToken": page["nextForwardToken"]} == token:
                return
            token = {"nextToken": page["nextForwardToken"]}
