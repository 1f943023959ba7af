"""`sashiko env prove`: asks an account what documentation and emulator only say."""

import datetime as dt
import json
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from sashiko.account.account import Account
from sashiko.commands.options import AsJson, DeployedEnvironment, Home, Yes, align, confirm
from sashiko.errors import CHECK_FAILED, INTERRUPTED, InputError
from sashiko.pipeline.compiled import compile_pipeline
from sashiko.pipeline.project import HOME, use_recipe
from sashiko.settings.environment import Settings, load_deployed
from sashiko_packs.operations.proofs.execution import Execution, Place, clean, leftovers, remove
from sashiko_packs.operations.proofs.probe import Probe, all_probes
from sashiko_packs.operations.proofs.record import FOLDER, Record, counted, read_records


def prove(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[PROBE]...", help="Probes by name.")
    ] = None,
    env: DeployedEnvironment = "dev",
    list_: Annotated[
        bool, typer.Option("--list", help="List the probes with price, time and record; run none.")
    ] = False,
    up_to: Annotated[
        float | None,
        typer.Option(metavar="USD", help="Run the probes without a record that cost this in sum."),
    ] = None,
    sweep: Annotated[
        bool, typer.Option("--sweep", help="Remove what stopped probes have left; run none.")
    ] = False,
    yes: Yes = False,
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """Ask a sandbox account what AWS really does, and record the answers without its names.

    A probe makes what it needs under names that begin with `prove-`, and removes it at the end, as
    after Ctrl-C. The same command goes on after a stop: what has a record is not asked again.

    Exit status: 0 all beliefs hold; 4 one differs or stays unknown; 1 an error.
    """
    records = read_records()
    if (list_ or sweep) and (names or up_to is not None):
        raise InputError("--list and --sweep take no probes and no sum")
    if list_:
        _print_list(records, json_=json_)
        return
    settings = load_deployed(env)
    if settings.tier == "prod" or re.match(r"prod|stag|live", settings.environment):
        raise InputError(
            f"probes make and delete roles, keys and endpoints: not in `{env}`. Write "
            "config/sandbox.yaml with `tier: dev` and a sandbox's `account`, and add --env sandbox"
        )
    probes = () if sweep else _choose(names or (), up_to, records)
    if probes and not yes:
        _confirm_price(probes, settings)
    place = _place(settings, home)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        verdicts = _run(probes, place)
    except KeyboardInterrupt:
        print("stopped: the same command removes what is left, and goes on", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    if sweep:
        _sweep(place, yes=yes)
    differing = [
        probe.id
        for probe in all_probes()
        if up_to is not None and counted(records.get(probe.id), probe) == "differs"
    ]
    if differing:
        print(f"not asked again, as the records differ: {', '.join(differing)}", file=sys.stderr)
    if differing or {*verdicts} - {"holds"}:
        raise typer.Exit(CHECK_FAILED)


def _choose(
    names: Sequence[str], up_to: float | None, records: Mapping[str, Record]
) -> Sequence[Probe]:
    probes = {probe.id: probe for probe in all_probes()}
    if bool(names) == (up_to is not None):
        raise InputError("name probes, or give --up-to with a sum in US dollars; --list shows all")
    for name in names:
        if name not in probes or probes[name].outline:
            state = "not written yet" if name in probes else "not known"
            raise InputError(f"the probe `{name}` is {state}; --list shows all")
    choice = [probes[name] for name in names]
    for probe in () if up_to is None else probes.values():
        verdict = counted(records.get(probe.id), probe)
        total = sum(one.price for one in (*choice, probe))
        if probe.steps and verdict in (None, "unknown") and total <= (up_to or 0):
            choice.append(probe)
    return choice


def _confirm_price(probes: Sequence[Probe], settings: Settings) -> None:
    usd = sum(probe.price for probe in probes)
    listing = ", ".join(f"{probe.id} ({probe.minutes} min)" for probe in probes)
    what = f"up to {usd:.2f} US dollars in the account {settings.account} for {listing}"
    if not sys.stdin.isatty():
        raise InputError(f"{what}: add --yes to spend them")
    typer.confirm(f"Spend {what}?", abort=True, err=True)


def _place(settings: Settings, home: Path) -> Place:
    account = Account(settings)
    account.check_identity()
    return Place(
        settings=settings,
        account=account,
        state=home / "prove" / settings.environment,
        definition=lambda recipe: (
            compile_pipeline(settings, use_recipe(settings, recipe), home=home).definition
        ),
        recipes=tuple(sorted(file.stem for file in Path("recipes").glob("*.yaml"))),
    )


def _run(probes: Sequence[Probe], place: Place) -> Sequence[str]:
    for state in sorted(place.state.glob("*.json")):
        print(f"{state.stem}: removing what an earlier run has left", file=sys.stderr)
        clean(state, place)
    verdicts: list[str] = []
    for probe in probes:
        print(f"{probe.id}: {probe.belief}", file=sys.stderr)
        record = Execution(probe, place).record(usd=probe.price)
        file = record.write(FOLDER)
        ignored = ", which does not count: the endpoint is not AWS's" * record.endpoint_override
        typer.echo(f"{probe.id}: {record.verdict}, {record.seconds:.0f} s, {file}{ignored}")
        verdicts.append(record.verdict)
    return verdicts


def _sweep(place: Place, *, yes: bool) -> None:
    items = dict(leftovers(place))
    print("\n".join(items), file=sys.stderr)
    if items and not yes:
        confirm("the resources above", word=place.settings.environment)
    problems = [remove(call, place.account) for calls in items.values() for call in calls]
    if any(problems):
        raise InputError(f"not removed: {'; '.join(filter(None, problems))}")
    typer.echo(f"{len(items)} resources removed")


def _print_list(records: Mapping[str, Record], *, json_: bool) -> None:
    rows, today = [], dt.datetime.now(dt.UTC).date()
    for probe in all_probes():
        record = records.get(probe.id)
        state = "not written yet" if probe.outline else "never recorded"
        if record and (verdict := counted(record, probe)):
            old = ", more than a year ago" * record.is_old(today=today)
            state = f"{verdict} on {record.date}{old}"
        row = {"probe": probe.id, "usd": probe.price, "minutes": probe.minutes, "record": state}
        rows.append({**row, "belief": probe.belief})
    if json_:
        typer.echo(json.dumps(rows, indent=2))
        return
    typer.echo("\n".join(align([[*rows[0]], *([str(v) for v in row.values()] for row in rows)])))
    whole = [probe.price for probe in all_probes() if probe.steps]
    typer.echo(f"{len(whole)} can run, for {sum(whole):.2f} US dollars (us-east-1)")
