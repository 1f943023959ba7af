"""What a run of the batch pipeline costs at most."""

from typing import Final

from sashiko.account.prices import read_prices, total
from sashiko.errors import InputError
from sashiko.pipeline.definition.definition_records import Definition
from sashiko.pipeline.use_cost import run_cost
from sashiko.settings.environment import Settings, file_of
from sashiko_packs.batch.settings import BatchJobs

# A job and its repeats after faults of the service (`sashiko.pipeline.sdk.jobs.retries`).
_ATTEMPTS: Final = 3


def check_cost(settings: Settings, jobs: BatchJobs, definition: Definition) -> None:
    """Checks that a run costs no more than `max_usd`, each job until its limit and repeated.

    Raises:
        InputError: if it may cost more, or a price is not known.
    """
    if jobs.max_usd is None:
        return
    key = f"{file_of('batch', settings.environment)}: key `batch.max_usd`: {jobs.max_usd:g}"
    try:
        costs = run_cost(definition, read_prices(settings), device=None)
    except InputError as error:
        raise InputError(f"{key}: {error}; or set it to null, for no limit") from error
    once = total(job.most for job in costs)
    if once is None:
        unknown = next(job.unknown for job in costs if job.most is None)
        raise InputError(f"{key}: {unknown}; or set it to null, for no limit")
    most = _ATTEMPTS * once
    if most > jobs.max_usd:
        raise InputError(
            f"{key}: the {len(costs)} jobs of a run cost up to {most:.2f} US dollars, each until "
            f"its `max_runtime` and repeated {_ATTEMPTS - 1} times: shorten "
            "`batch.job.max_runtime`, take fewer or smaller instances, or raise the limit"
        )
