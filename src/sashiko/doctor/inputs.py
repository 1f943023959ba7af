"""Checks of what a run of the pipeline needs: staged inputs, data, MLflow, alerts."""

from collections.abc import Iterator

from sashiko.account.account import Account, NoBucketError
from sashiko.account.content_store import ContentStore
from sashiko.account.names import bucket_name, etl_name, prefix
from sashiko.doctor.check import Check
from sashiko.pipeline.cloud.loads import newest_load
from sashiko.pipeline.staging import Staged
from sashiko.settings.environment import Settings

_APP_READY = ("Created", "Updated")
_APP_BUSY = ("Creating", "Updating")


def check_staged(account: Account, settings: Settings, staged: Staged) -> Iterator[Check]:
    """Checks that every input of the recipe is staged."""
    fix = f"sashiko stage --env {settings.environment}"
    store, places = ContentStore(account), staged.places
    for name, uris in {
        "weights": [staged.weights_uri],
        "code and configuration": [channel.uri for channel in staged.channels],
    }.items():
        try:
            missing = [
                f"{uri}/{file}"
                for uri in uris
                for file in sorted(set(places[uri]) - set(store.sizes(uri)))
            ]
        except NoBucketError:
            yield Check(
                name=name,
                status="later",
                detail=f"no bucket {bucket_name(settings, 'artifacts')} yet",
                fix=f"make deploy ENV={settings.environment}, then {fix}",
            )
            return
        if missing:
            more = f" and {len(missing) - 1} more" if missing[1:] else ""
            detail = f"{missing[0]}{more} not there"
            yield Check(name=name, status="later", detail=detail, fix=fix)
        else:
            yield Check(name=name, status="ok", detail=f"all staged, {len(uris)} prefixes")


def check_data(account: Account, settings: Settings, *, table: str) -> Check:
    """Checks for a successful load of the table; a run starts with its `--as-of`."""
    name, job = f"data of {table}", etl_name(settings, table)
    if version := newest_load(account, settings, table):
        return Check(name=name, status="ok", detail=f"newest load that succeeded: {version}")
    response = account.read(
        "glue", "get_job_runs", absent=("EntityNotFoundException",), JobName=job, MaxResults=50
    )
    load = "load an extract (docs/first-deploy.md)"
    if response is None:
        return Check(
            name=name,
            status="later",
            detail=f"no job {job} yet",
            fix=f"make deploy ENV={settings.environment}, then {load}",
        )
    newest = max(response.get("JobRuns", ()), key=lambda run: run["StartedOn"], default=None)
    if newest and newest["JobRunState"] in ("FAILED", "ERROR", "TIMEOUT"):
        reason = newest.get("ErrorMessage", newest["JobRunState"])
        return Check(
            name=name, status="failed", detail=f"the newest load failed: {reason}", fix=load
        )
    return Check(name=name, status="later", detail=f"no load of {job} succeeded yet", fix=load)


def check_tracking(account: Account, settings: Settings) -> Check:
    """Checks the MLflow App's state; only a run shows whether a job in the VPC reaches it."""
    name = f"MLflow App {prefix(settings)}"
    deploy = f"make deploy ENV={settings.environment}"
    apps = account.pages("sagemaker", "list_mlflow_apps", "Summaries")
    environment_apps = [app for app in apps if app["Name"] == prefix(settings)]
    status = environment_apps[0]["Status"] if environment_apps else ""
    if status in _APP_READY:
        detail = f"{status}; whether jobs in the VPC reach it the first run's Track shows"
        return Check(name=name, status="ok", detail=detail)
    if not environment_apps or status in _APP_BUSY:
        return Check(name=name, status="later", detail=status or "none yet", fix=deploy)
    return Check(name=name, status="failed", detail=status, fix=f"delete it by hand, then {deploy}")


def check_alerts(settings: Settings) -> Check:
    """Checks that alerts of the budget and of failures have a recipient."""
    emails = settings.alerts.emails
    if emails:
        return Check(name="alerts", status="ok", detail=f"to {', '.join(emails)}, once confirmed")
    return Check(
        name="alerts",
        status="note",
        detail="alerts of the budget and of failures have no recipient",
        fix=f"alerts: {{emails: [you@example.com]}} in config/{settings.environment}.yaml",
    )
