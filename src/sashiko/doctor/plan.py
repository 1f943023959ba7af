"""Checks of what a run of the pipeline needs from the account; each one only reads."""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sashiko.account.account import Account, NoBucketError
from sashiko.account.content_store import (
    NO_REPOSITORY,
    ContentStore,
    has_repository,
    image_request,
    is_built,
)
from sashiko.account.images.job_images import job_images
from sashiko.account.instances import settings_for
from sashiko.account.names import bucket_name, etl_name, prefix
from sashiko.contract.load import load_contract
from sashiko.doctor.capacity import check_capacity, check_types
from sashiko.doctor.check_result import Check, run_check
from sashiko.doctor.machines import check_quotas, check_zones, needed_machines
from sashiko.doctor.services import check_clarify, check_forgotten
from sashiko.packs import load_object, load_packs
from sashiko.pipeline.cloud.executions import newest_load
from sashiko.pipeline.compiled import compile_pipelines
from sashiko.pipeline.definition.definition_records import Definition, parse_definition
from sashiko.pipeline.project import contract_file, use_recipe
from sashiko.pipeline.staging import Staged, staged_inputs
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe

_APP_READY = ("Created", "Updated")
_APP_BUSY = ("Creating", "Updating")


def check_images(account: Account, settings: Settings, *, target: str) -> Iterator[Check]:
    """Asks the registries for each image; AWS's registries in the way a job pulls it."""
    images = job_images(settings, target)
    uris = dict.fromkeys(image.uri for image in (*images.of_jobs(), images.serving))
    for uri in uris:
        registry, _, path = uri.partition("/")
        check = _check_own if registry.startswith(f"{settings.account}.") else _check_aws
        name = f"image {path}"
        yield from run_check(name, partial(check, account, settings, uri=uri, name=name))


def _check_own(account: Account, settings: Settings, *, uri: str, name: str) -> Check:
    if is_built(account, uri):
        detail = f"in the registry of {settings.account}"
        return Check(name, "ok", detail)
    deploy = f"make deploy ENV={settings.environment}"
    if not has_repository(account, uri):
        return Check(name, "later", "the deploy builds it", fix=deploy)
    detail = "its repository is there, but not the image: it was not built, or removed"
    return Check(name, "failed", detail, fix=deploy)


def _check_aws(account: Account, settings: Settings, *, uri: str, name: str) -> Check:
    request = image_request(uri)
    registry = request["registryId"]
    response = account.read("ecr", "batch_get_image", absent=NO_REPOSITORY, **request)
    if response and response.get("images"):
        return Check(name, "ok", f"in the registry of {registry}")
    advice = f"sashiko env images --env {settings.environment}"
    if response is None:
        detail = f"AWS's registry {registry} shows no such repository to you"
        return Check(name, "unknown", detail, fix=advice)
    return Check(
        name,
        "failed",
        f"AWS's registry {registry} has the repository, but not this image",
        fix=f"{advice}, then pin another tag in src/sashiko/account/images/images.yaml or "
        "another digest "
        f"as `image_digests` in config/{settings.environment}.yaml",
    )


def check_staged(account: Account, settings: Settings, staged: Staged) -> Iterator[Check]:
    """Checks that every input of the recipe is staged."""
    fix = f"sashiko env stage --env {settings.environment}"
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
            detail = f"no bucket {bucket_name(settings, 'artifacts')} yet"
            fix = f"make deploy ENV={settings.environment}, then {fix}"
            yield Check(name, "later", detail, fix=fix)
            return
        if missing:
            more = f" and {len(missing) - 1} more" if missing[1:] else ""
            detail = f"{missing[0]}{more} not there"
            yield Check(name, "later", detail, fix=fix)
        else:
            yield Check(name, "ok", f"all staged, {len(uris)} prefixes")


def check_data(account: Account, settings: Settings, *, table: str) -> Check:
    """Checks for a successful load of the table; a run starts with its `--as-of`."""
    name, job = f"data of {table}", etl_name(settings, table)
    if version := newest_load(account, settings, table):
        return Check(name, "ok", f"newest load that succeeded: {version}")
    response = account.read(
        "glue", "get_job_runs", absent=("EntityNotFoundException",), JobName=job, MaxResults=50
    )
    load = "load an extract (docs/first-deploy.md)"
    if response is None:
        fix = f"make deploy ENV={settings.environment}, then {load}"
        return Check(name, "later", f"no job {job} yet", fix=fix)
    newest = max(response.get("JobRuns", ()), key=lambda run: run["StartedOn"], default=None)
    if newest and newest["JobRunState"] in ("FAILED", "ERROR", "TIMEOUT"):
        reason = newest.get("ErrorMessage", newest["JobRunState"])
        return Check(name, "failed", f"the newest load failed: {reason}", fix=load)
    return Check(name, "later", f"no load of {job} succeeded yet", fix=load)


def check_tracking(account: Account, settings: Settings) -> Check:
    """Checks the MLflow App's state; only a run shows whether a job in the VPC reaches it."""
    name = f"MLflow App {prefix(settings)}"
    deploy = f"make deploy ENV={settings.environment}"
    apps = account.pages("sagemaker", "list_mlflow_apps", "Summaries")
    environment_apps = [app for app in apps if app["Name"] == prefix(settings)]
    status = environment_apps[0]["Status"] if environment_apps else ""
    if status in _APP_READY:
        detail = f"{status}; the first run's step Track shows whether jobs in the VPC reach it"
        return Check(name, "ok", detail)
    if not environment_apps or status in _APP_BUSY:
        return Check(name, "later", status or "none yet", fix=deploy)
    return Check(name, "failed", status, fix=f"delete it by hand, then {deploy}")


def check_alerts(settings: Settings) -> Check:
    """Checks that alerts of the budget and of failures have a recipient."""
    emails = settings.alerts.emails
    if emails:
        return Check("alerts", "ok", f"to {', '.join(emails)}, once confirmed")
    detail = "alerts of the budget and of failures have no recipient"
    fix = f"alerts: {{emails: [you@example.com]}} in config/{settings.environment}.yaml"
    return Check("alerts", "note", detail, fix=fix)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The pipeline of the checks."""

    recipe: Recipe  # what is fine-tuned
    table: str  # the table of its contract
    definition: Definition  # its pipeline
    staged: Staged  # its inputs


def plan_of(settings: Settings, *, home: Path) -> Plan:
    """Returns the recipe, definition and inputs of the environment's pipeline.

    InputError if recipe or contract are wrong, or the definition cannot be built.
    """
    recipe = use_recipe(settings, None)
    pipeline, *others = compile_pipelines(settings, recipe, home=home)
    return Plan(
        recipe=recipe,
        table=load_contract(contract_file(recipe)).table,
        definition=parse_definition(json.loads(pipeline.definition)),
        staged=staged_inputs(
            settings, recipe, pipeline.channels, *(other.channels for other in others)
        ),
    )


def examine_plan(account: Account, settings: Settings, plan: Plan) -> Iterator[Check]:
    """Yields the result of each check, in the order of docs/first-deploy.md."""
    target = plan.recipe.compile.target
    needed = tuple(needed_machines(settings, plan.definition, target=target))
    settings = settings_for(settings, plan.recipe)
    now = dt.datetime.now(dt.UTC)
    yield from run_check("zones and types", lambda: check_zones(account, settings, needed))
    yield from run_check("instance types", lambda: check_types(account, settings, needed))
    yield from run_check("quotas", lambda: check_quotas(account, settings, needed))
    yield from run_check(
        "training capacity", lambda: check_capacity(account, settings, needed, now=now)
    )
    yield from run_check("Clarify", lambda: check_clarify(account, settings))
    for pack in load_packs(settings.packs, source="settings"):
        for title, name in pack.checks.items():
            yield from run_check(title, partial(load_object(name), account, settings))
    yield check_alerts(settings)
    yield from run_check("images", lambda: check_images(account, settings, target=target))
    yield from run_check("MLflow App", lambda: check_tracking(account, settings))
    yield from run_check("staged inputs", lambda: check_staged(account, settings, plan.staged))
    yield from run_check("device checks", lambda: check_forgotten(account, settings))
    yield from run_check("data", lambda: check_data(account, settings, table=plan.table))
