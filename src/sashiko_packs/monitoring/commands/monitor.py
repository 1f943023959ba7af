"""`sashiko monitor`: judge a window of captured requests; `monitor audit`: label rows of it."""

import datetime as dt
import shlex
import sys
from functools import partial

import typer

from sashiko.base.exit_status import CHECK_FAILED
from sashiko.commands.options import AsJson, Environment, Home, RecipeName
from sashiko.errors import InputError
from sashiko.pipeline.project import HOME
from sashiko.settings.environment import load_settings
from sashiko_packs.monitoring.commands import cloud_monitor, monitor_stores
from sashiko_packs.monitoring.commands.monitored import (
    DEFAULT_LENGTH,
    Labels,
    Length,
    Monitored,
    Now,
    Number,
    add_label_file,
    open_monitored,
    version_commands,
)
from sashiko_packs.monitoring.commands.output import show_window
from sashiko_packs.monitoring.result import MonitorResult, Retraining, decide_retraining
from sashiko_packs.monitoring.settings import MonitorSection

app = typer.Typer(
    help="Judge a window of captured requests: inputs, drift, audited accuracy, bias.\n\n"
    "Exit status: 0 no alarm, 4 an alarm, 1 error, 130 interrupted."
)

app.command()(monitor_stores.audit)
app.command()(monitor_stores.case)
app.command()(monitor_stores.forget)


@app.callback(invoke_without_command=True)
def monitor(
    context: typer.Context,
    window: Length = DEFAULT_LENGTH,
    now: Now = None,
    labels: Labels = None,
    version: Number = None,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """Judges a window; `app` has the help that is shown."""
    if context.invoked_subcommand is not None:
        return
    from sashiko_packs.monitoring.local_run import run_monitor

    settings = load_settings(env)
    if settings.tier != "local":
        given = [name for name in ("window", "now", "version") if _is_given(context, name)]
        if given:
            raise InputError(
                f"--{given[0]}: an account's windows are started by its schedule; leave it out, "
                "and the last one is shown"
            )
        cloud_monitor.show(settings, recipe, home=home, labels=labels, json_=json_)
        return
    monitored = open_monitored(window, now, version, place=(env, recipe, home))
    folder = monitored.folder
    if labels is not None:
        add_label_file(monitored, labels)
    command = shlex.join(["sashiko", *sys.argv[1:]])
    record, result = run_monitor(
        folder, monitored.version, window=monitored.window, command=command
    )
    if result is None:
        raise typer.Exit(record.exit_code)
    retraining = _decide_retraining(monitored, result)
    results = folder.results()
    show_window(
        results,
        result,
        retraining,
        page=folder.report,
        options=monitored.options,
        again=monitored.window_options,
        others=partial(version_commands, history=results, options=monitored.options),
        json_=json_,
    )
    if result.outcome == "alarm":
        raise typer.Exit(CHECK_FAILED)


def _is_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _decide_retraining(monitored: Monitored, result: MonitorResult) -> Retraining:
    from sashiko.pipeline.candidates import local_candidates

    folder, version = monitored.folder, monitored.version
    candidates = local_candidates(
        folder.home,
        folder.settings,
        folder.recipe,
        monitored.registry.versions(version.group),
    )
    section = folder.recipe.section(MonitorSection)
    return decide_retraining(section, result, candidates, now=dt.datetime.now(dt.UTC))
