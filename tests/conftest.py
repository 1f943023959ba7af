"""Every test begins in the project's root, with the samples that the engine's tests work on."""

import gc
import os
import sys
from collections.abc import Callable
from functools import cache, cached_property
from importlib import import_module
from importlib.util import cache_from_source, find_spec
from pathlib import Path
from typing import Any

import botocore.hooks
import botocore.session
import pytest
from botocore.client import ClientCreator
from botocore.hooks import EventAliaser, HierarchicalEmitter
from hypothesis import settings

from sashiko.contract import odcs
from tests.drawn_once import drawn  # noqa: F401  # a fixture
from tests.project_root import project_root

# A change is judged by the same values each time; .ci/weekly draws new ones with
# `--hypothesis-profile default`.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# Tests run in a process per core, and the threads of torch and NumPy spin while they wait for each
# other: with two each, a test of a tiny model takes ten times as long. Both read it when imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A worker keeps millions of objects of torch, botocore and the CDK: looking through them after each
# 700 new ones takes 7 % of the tests' time.
gc.set_threshold(100_000, 50, 100)

HALVES = (
    ("torch", "transformers", "sklearn"),
    ("moto", "aws_cdk", "pandas", "scipy", "mlflow", "hypothesis", "matplotlib"),
)


def pytest_collection_finish() -> None:
    """Never looks again through what all tests share."""
    if moto := sys.modules.get("moto.core.base_backend"):
        # It makes the patterns of a service's URLs anew for each request.
        moto.BaseBackend.urls = cached_property(moto.BaseBackend.urls.fget)
        moto.BaseBackend.urls.__set_name__(moto.BaseBackend, "urls")
    gc.freeze()


def pytest_sessionfinish() -> None:
    """Never looks through what the tests leave: pytest would five times, for what has no end."""
    gc.freeze()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leaves out a file of slow tests alone where these are: its imports take a second."""
    if config.option.markexpr != "not slow" or collection_path.suffix != ".py":
        return None
    return "\npytestmark = pytest.mark.slow\n" in collection_path.read_text("utf-8") or None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One a core, also where two are of one physical core."""
    return os.cpu_count() or 1


def once(function: Callable[..., Any], key: Callable[..., str]) -> Callable[..., Any]:
    """Calls a function once for each key of its arguments."""
    results: dict[str, Any] = {}

    def call(*arguments: Any) -> Any:
        name = key(*arguments)
        if name not in results:
            results[name] = function(*arguments)
        return results[name]

    return call


def pytest_configure(config: pytest.Config) -> None:
    if log := os.environ.get("COMMAND_LOG"):
        from tests.command_log import log_commands

        log_commands(Path(log).resolve())
    os.chdir(project_root())
    # moto replaces the session in every test; a loader that they share parses the models once.
    botocore.session.create_loader = cache(botocore.session.create_loader)
    # Half the time of a new session goes into the signatures of the same handlers, and into the
    # names of the same events.
    takes = cache(botocore.hooks.accepts_kwargs)
    botocore.hooks.accepts_kwargs = lambda handler: takes(getattr(handler, "__func__", handler))
    names = EventAliaser(HierarchicalEmitter())._alias_event_name
    EventAliaser._alias_event_name = staticmethod(cache(names))
    # Two thirds of the time of a new client go into the methods of its class, EC2's 700 of them.
    ClientCreator._create_client_class = once(
        ClientCreator._create_client_class, lambda _, service, __: service
    )
    # Tests read the same few contracts a thousand times, each against the standard's large schema.
    odcs.schema_errors = once(odcs.schema_errors, repr)
    # Workers begin with other halves of what all import: in a fresh clone each compiles its own.
    if worker := os.environ.get("PYTEST_XDIST_WORKER", ""):
        for module in HALVES[int(worker.removeprefix("gw")) % 2]:
            if not Path(cache_from_source(find_spec(module).origin)).exists():
                import_module(module)
