"""Checks of what a run of the pipeline needs from the account; each one only reads."""

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sashiko.account.account import Account
from sashiko.account.training_machines import settings_for
from sashiko.contract.load import load_contract
from sashiko.doctor.capacity import check_capacity
from sashiko.doctor.check import Check, run_check
from sashiko.doctor.images import check_images
from sashiko.doctor.inputs import check_alerts, check_data, check_staged, check_tracking
from sashiko.doctor.instance_facts import check_types
from sashiko.doctor.machines import check_quotas, check_zones
from sashiko.doctor.needed_machines import needed_machines
from sashiko.doctor.services import check_clarify, check_forgotten
from sashiko.packs import load_object, load_packs
from sashiko.pipeline.compiled import compile_pipelines
from sashiko.pipeline.definition.model import Definition, parse_definition
from sashiko.pipeline.project import contract_file, use_recipe
from sashiko.pipeline.staging import Staged, staged_inputs
from sashiko.settings.environment import Settings
from sashiko.settings.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The pipeline of the checks."""

    recipe: Recipe  # what is fine-tuned
    table: str  # the table of its contract
    definition: Definition  # its pipeline
    staged: Staged  # its inputs


def plan_of(settings: Settings, *, home: Path) -> Plan:
    """Returns the recipe, definition and inputs of the environment's pipeline.

    Raises:
        InputError: if recipe or contract are wrong, or the definition cannot be built.
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
