"""Checks of what a run of the pipeline needs from the account; each one only reads."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from sashiko.account.access.lake_governance import grants
from sashiko.account.access.live import read_settings
from sashiko.account.account import Account, NoBucketError
from sashiko.account.content_store import (
    NO_REPOSITORY,
    ContentStore,
    has_repository,
    image_request,
    is_built,
)
from sashiko.account.existing_lake import columns_by_role, describe
from sashiko.account.images.job_images import job_images
from sashiko.account.instances import settings_for
from sashiko.account.names import bucket_name, etl_name, prefix
from sashiko.contract.load import load_contract
from sashiko.contract.model import Contract, ExistingTable
from sashiko.data.existing_table import check_columns
from sashiko.doctor.existing_network import check_addresses
from sashiko.doctor.services import Check, Status, run_check
from sashiko.packs import load_object, load_packs
from sashiko.pipeline.cloud.executions import newest_load
from sashiko.pipeline.compiled import compile_pipelines
from sashiko.pipeline.definition.definition_records import Definition, Step, parse_definition
from sashiko.pipeline.definition.graph import build_graph
from sashiko.pipeline.definition.job_arguments import cluster_of, machine_types
from sashiko.pipeline.project import contract_file, use_recipe
from sashiko.pipeline.staging import Staged, staged_inputs
from sashiko.settings.environment import Settings, file_of

RECIPE_KEY = "train.distributed.instance_type"
# As the names of SageMaker's quotas have it: "ml.m5.large for processing job usage".
Use = Literal[
    "processing job",
    "training job",
    "spot training job",
    "training warm pool",
    "transform job",
    "endpoint",
]


@dataclass(frozen=True, kw_only=True)
class Needed:
    """Instances that are used concurrently."""

    instance_type: str  # such as `ml.m5.large`
    use: Use  # the kind of job
    count: int  # how many at once, at most
    key: str  # where the settings name the type, or the recipe

    @property
    def quota(self) -> str:
        """The name of SageMaker's quota for it."""
        return f"{self.instance_type} for {self.use} usage"


def needed_machines(settings: Settings, definition: Definition, *, target: str) -> Iterator[Needed]:
    """Yields what a run of the pipeline, its check on a device and the endpoint need."""
    jobs: dict[tuple[str, Use], list[Step]] = {}
    for step in definition.steps:
        if step.is_job:
            kind: Use = "processing job"
            if step.type == "Training":
                spot = step.arguments.get("EnableManagedSpotTraining") is True
                kind = "spot training job" if spot else "training job"
            cluster = cluster_of(step)
            kinds: list[Use] = [kind]
            if cluster.get("KeepAlivePeriodInSeconds"):
                kinds.append("training warm pool")
            # SageMaker holds the quota of each type of a list against the job ("Instance preference
            # lists for training jobs", Developer Guide).
            for machine in machine_types(cluster):
                for quota in kinds:
                    jobs.setdefault((machine, quota), []).append(step)
    for (instance_type, use), steps in sorted(jobs.items()):
        # Exact if the steps have equally many instances, else the most that there can be.
        largest = max(int(cluster_of(step)["InstanceCount"]) for step in steps)
        count = largest * most_at_once(definition, {step.name for step in steps})
        key = _key(settings, instance_type, "training" if "training" in use else "")
        yield Needed(instance_type=instance_type, use=use, count=count, key=key)
    serving, check = settings.serving, settings.device_check
    hosting, key = serving.instance_type(target), f"serving.instance_types.{target}"
    # A deployment starts the new fleet beside the old one; for that a sleeping one wakes two.
    least = 2 if serving.sleeps else serving.min_instances
    fleet = max(2 * least, serving.max_instances) if serving.enabled else 0
    if count := fleet + (check == "endpoint"):
        yield Needed(instance_type=hosting, use="endpoint", count=count, key=key)
    if check == "transform":
        yield Needed(instance_type=hosting, use="transform job", count=1, key=key)


def _key(settings: Settings, instance_type: str, only: str) -> str:
    jobs = settings.jobs.model_dump()
    kinds = [only] if only else [kind for kind in jobs if kind != "training"]
    first = [kind for kind in kinds if jobs[kind]["instance_type"] == instance_type]
    other = [kind for kind in kinds if instance_type in jobs[kind]["fallback_instance_types"]]
    keys = [f"jobs.{kind}.instance_type" for kind in first]
    keys = keys or [f"jobs.{kind}.fallback_instance_types" for kind in other]
    return ", ".join(keys) or RECIPE_KEY


def most_at_once(definition: Definition, names: Iterable[str]) -> int:
    """Returns how many of the named steps can run at the same time, at most.

    By Dilworth's theorem the largest set of independent steps has as many elements as a minimum
    chain cover, which is the number of steps minus a maximum matching of predecessors to
    successors.
    """
    steps = sorted(names)
    graph = build_graph(definition)
    matched: dict[str, str] = {}

    def extend(step: str, seen: set[str]) -> bool:
        for after in graph.downstream(step).intersection(steps) - seen - {step}:
            seen.add(after)
            if after not in matched or extend(matched[after], seen):
                matched[after] = step
                return True
        return False

    return len(steps) - sum(extend(step, set()) for step in steps)


_CAVEAT = "by what EC2 offers, which is only a hint: SageMaker publishes no list"


def check_zones(account: Account, settings: Settings, needed: Sequence[Needed]) -> Iterator[Check]:
    """Asks EC2 which of the environment's zones have the instances; SageMaker has no API for it.

    AWS's guide tells to ask so for training jobs ("Get compute capacity for SageMaker Training
    Jobs"). For processing jobs, transform jobs and endpoints it says nothing.
    """
    names, file = settings.zone_names, file_of("network", settings.environment)
    response = account.read("ec2", "describe_availability_zones") or {}
    available = {zone["ZoneName"] for zone in response.get("AvailabilityZones", ())}
    if missing := sorted(set(names) - available):
        detail = f"the account has no {', '.join(missing)}; it has {', '.join(sorted(available))}"
        fix = f"choose others as `network.zones`, or `network.subnets`, in {file}"
        yield Check("availability zones", "failed", detail, fix=fix)
        return
    yield Check("availability zones", "ok", ", ".join(names))
    uses: dict[str, set[str]] = {}
    for item in needed:
        uses.setdefault(item.instance_type, set()).add(item.use)
    offers: dict[str, set[str]] = {}
    for offer in account.pages(
        "ec2",
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": [kind.removeprefix("ml.") for kind in uses]}],
    ):
        offers.setdefault(f"ml.{offer['InstanceType']}", set()).add(offer["Location"])
    for kind, of_kind in sorted(uses.items()):
        trains = all("training" in use for use in of_kind)
        caveat = "by what EC2 offers" if trains else _CAVEAT
        yield _zones_of(kind, offers.get(kind, set()), names, file=str(file), caveat=caveat)


def _zones_of(
    kind: str, offered: set[str], names: Sequence[str], *, file: str, caveat: str
) -> Check:
    name, matching = f"{kind} by zone", [zone for zone in names if zone in offered]
    everywhere = ", ".join(sorted(offered)) or "no zone"
    if len(matching) == len(names):
        return Check(name, "ok", f"in {', '.join(matching)}, {caveat}")
    if matching:
        detail = f"only in {', '.join(matching)} of {', '.join(names)}, {caveat}"
        return Check(name, "note", detail)
    detail = f"in none of {', '.join(names)}, {caveat}; the region has it in {everywhere}"
    fix = f"add such a zone to `network.zones`, or subnets, in {file}, or choose another type"
    return Check(name, "failed", detail, fix=fix)


def check_quotas(account: Account, settings: Settings, needed: Sequence[Needed]) -> Iterator[Check]:
    """Compares the account's quotas with the concurrent use; in new accounts they are often 0."""
    applied = _quotas(account, "list_service_quotas")
    # Until they are requested, AWS lists some quotas only among the defaults.
    defaults: Mapping[str, Mapping[str, Any]] = {}
    if any(item.quota not in applied for item in needed):
        defaults = _quotas(account, "list_aws_default_service_quotas")
    for item in needed:
        yield _quota(settings, item, applied.get(item.quota) or defaults.get(item.quota))


def _quotas(account: Account, operation: str) -> Mapping[str, Mapping[str, Any]]:
    quotas = account.pages(
        "service-quotas", operation, "Quotas", ServiceCode="sagemaker", MaxResults=100
    )
    return {item["QuotaName"]: item for item in quotas}


def _quota(settings: Settings, item: Needed, quota: Mapping[str, Any] | None) -> Check:
    name = f"quota: {item.quota}"
    if quota is None:
        section = item.key.split(".")[0]
        file = file_of(section, settings.environment) if item.key != RECIPE_KEY else "the recipe"
        detail = f"SageMaker has no such quota in {settings.region}: it does not offer the type "
        fix = f"choose another type as `{item.key}` in {file}"
        return Check(name, "failed", f"{detail}there for this", fix=fix)
    value = float(quota["Value"])
    detail = f"{value:g}, up to {item.count} are used at once"
    if value >= item.count:
        return Check(name, "ok", detail)
    return Check(
        name,
        "failed",
        detail,
        fix="aws service-quotas request-service-quota-increase --service-code sagemaker "
        f"--quota-code {quota['QuotaCode']} --desired-value {item.count} "
        f"--region {settings.region}",
    )


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
    images = "src/sashiko/account/images/images.yaml"
    if response is None:
        detail = f"AWS's registry {registry} shows no such repository to you"
        return Check(name, "unknown", detail, fix=f"look for the region's registry in {images}")
    return Check(
        name,
        "failed",
        f"AWS's registry {registry} has the repository, but not this image",
        fix=f"pin another tag in {images}, or another digest as `image_digests` in "
        f"config/{settings.environment}.yaml",
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


def check_grants(account: Account, settings: Settings, contract: Contract) -> Iterator[Check]:
    """Holds the link to another owner's table, and the grants on it, against a contract.

    For a table ListPermissions returns the grants of columns too; another account's is listed by
    its own catalog id, and only to an administrator here.
    """
    lake, fix = contract.lake, "sashiko env permissions --for-owner"
    if lake is None:
        return
    catalog = lake.catalog or settings.account
    place = {"CatalogId": catalog, "DatabaseName": lake.database, "Name": lake.table}
    if lake.catalog or lake.link:
        answer = account.read(
            "glue", "get_table", absent=("EntityNotFoundException",),
            DatabaseName=lake.place.database, Name=lake.place.table,
        )  # fmt: skip
        target = (answer or {"Table": {}})["Table"].get("TargetTable")
        leads = target is not None and target | place == target
        status: Status = "ok" if leads else "failed"
        yield Check(f"link {lake.place}", status, f"leads to {target or 'nothing'}", fix=fix)
    pages = account.pages(
        "lakeformation", "list_permissions", "PrincipalResourcePermissions",
        CatalogId=catalog, Resource={"Table": place},
    )  # fmt: skip
    selects = [grant for item in pages for grant in grants(item) if grant.permission == "SELECT"]
    everything = {column.physical_name.lower() for column in contract.columns}
    for role, names in columns_by_role(contract).items():
        title, due = f"table {lake.full_name} for {role}", set(names)
        own = [one.securable for one in selects if one.principal == settings.role_arn(role)]
        columns = {name for one in own for name in one.columns or everything - one.excluded}
        if not selects:
            yield Check(title, "unknown", "Lake Formation lists no grant to you", fix=fix)
        elif columns != due:
            lacks, extra = (", ".join(sorted(part)) for part in (due - columns, columns - due))
            detail = f"it lacks {lacks or 'nothing'}, and may read {extra or 'nothing'} besides"
            yield Check(title, "failed", detail, fix=fix)
        else:
            yield Check(title, "ok", f"{len(names)} columns, and no others")


def check_types(account: Account, contract: Contract, lake: ExistingTable) -> Iterator[Check]:
    """Holds the columns of another owner's table against those that the steps read.

    Glue shows a caller the columns that Lake Formation grants to it, and an administrator all of
    them: what is hidden from others may be there.

    Raises:
        InputError: if a column is gone or has another type, or the table is a view.
    """
    title, types = f"columns of {lake.full_name}", describe(account, lake).types
    due = [*contract.view_columns("training")]
    due += [column for column in contract.view_columns("facets") if column not in due]
    hidden = [column for column in due if column.physical_name.lower() not in types]
    if hidden and not read_settings(account).lists_all_to(account.check_identity()):
        names = ", ".join(column.physical_name for column in hidden)
        yield Check(title, "unknown", f"not shown to you, who are no administrator: {names}")
        due = [column for column in due if column not in hidden]
    check_columns(types, contract, due, name=lake.full_name)
    yield Check(title, "ok", f"{len(due)} have the contract's types")


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


def examine_plan(account: Account, settings: Settings, *, home: Path) -> Iterator[Check]:
    """Yields the result of each check, in the order of docs/first-deploy.md.

    InputError if recipe or contract are wrong, or the definition cannot be built.
    """
    recipe = use_recipe(settings, None)
    target, contract = recipe.compile.target, load_contract(contract_file(recipe))
    pipelines = compile_pipelines(settings, recipe, home=home)
    definition = parse_definition(json.loads(pipelines[0].definition))
    staged = staged_inputs(settings, recipe, *(pipeline.channels for pipeline in pipelines))
    needed = tuple(needed_machines(settings, definition, target=target))
    settings = settings_for(settings, recipe)
    yield from run_check("zones and types", lambda: check_zones(account, settings, needed))
    if settings.network.vpc_id:
        counts = [item.count for item in needed if item.use != "training warm pool"]
        yield from run_check("addresses", lambda: check_addresses(account, settings, sum(counts)))
    yield from run_check("quotas", lambda: check_quotas(account, settings, needed))
    for pack in load_packs(settings.packs, source="settings"):
        for title, name in pack.checks.items():
            yield from run_check(title, partial(load_object(name), account, settings))
    yield check_alerts(settings)
    yield from run_check("images", lambda: check_images(account, settings, target=target))
    yield from run_check("MLflow App", lambda: check_tracking(account, settings))
    yield from run_check("staged inputs", lambda: check_staged(account, settings, staged))
    if lake := contract.lake:
        yield from run_check("data", lambda: check_grants(account, settings, contract))
        yield from run_check("columns", lambda: check_types(account, contract, lake))
    else:
        yield from run_check("data", lambda: check_data(account, settings, table=contract.table))
