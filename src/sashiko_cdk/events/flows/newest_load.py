"""The state that names the newest version of a table of the lake."""

from typing import Final

from sashiko.account.names import etl_name
from sashiko.contract.glue import NOTHING_LOADED
from sashiko.settings.environment import Settings
from sashiko_cdk.events.flows.language import State, call, expression

_MOST_LOADS: Final = 50  # what a state holds is limited to 256 KiB


def find_load(settings: Settings, table: str, *, next_state: str) -> State:
    """Returns the state that assigns `$as_of`, the newest version, or that nothing is loaded.

    It is that of the newest load that had succeeded at `$time`, the time of the event: the same
    however often the event is delivered. Glue returns the newest first ("GetJobRuns", AWS Glue Web
    API Reference). Nothing may be loaded where a promoted version is served.
    """
    loads = (
        "$states.result.JobRuns[JobRunState = 'SUCCEEDED' and $exists(Arguments.`--as-of`)"
        " and $toMillis(CompletedOn) <= $toMillis($time)]"
    )
    return call(
        "aws-sdk:glue:getJobRuns",
        {"JobName": etl_name(settings, table), "MaxResults": _MOST_LOADS},
        Assign={
            "as_of": expression(
                f"($loads := {loads}; $exists($loads) ? "
                f"$loads[0].Arguments.`--as-of` : '{NOTHING_LOADED}')"
            )
        },
        Next=next_state,
    )
