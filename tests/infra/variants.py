"""The environments that the tests synthesize: upstream's base settings, and none of a fork's."""

import atexit
import fcntl
import functools
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sashiko.account.access.policy_evaluation import Request
from sashiko.packs import enabled_packs

ROOT = Path.cwd()  # tests/conftest.py: with the samples
DEV = """\
tier: dev
account: "111122223333"
on_destroy: delete
network: {zones: [a]}
"""
PROD = """\
tier: prod
account: "444455556666"
lake_formation: {account_stack: true}
budget: {amount: 500, covers: environment}
alerts: {emails: [ops@example.com]}
package_index: {domain: acme, owner: "666677778888", repository: python}
"""
PACKAGE = "arn:aws:sagemaker:us-east-1:{}:model-package/sashiko-{}-complaint-triage/3"
SERVING = """\
serving:
  enabled: true
  model_package_arn: {arn}
  min_instances: {least}
  max_instances: 4
"""
# A pack can be left out, and its parts of the variants with it.
PACKS = {pack.name for pack in enabled_packs(folder=ROOT / "config")}


def of_pack(pack: str, *names: str) -> set[str]:
    """What a pack adds; nothing where it is left out."""
    return {*names} if pack in PACKS else set()


# What is about the stacks with every pack, as a page of the docs, is kept by a copy without one.
WHOLE = {page.stem for page in (ROOT / "docs/packs").glob("*.md")} == PACKS
BEDROCK = (
    'bedrock: {enabled: true, models: ["amazon.nova-micro-v1:0"]}\n' if "bedrock" in PACKS else ""
)
# Their VPC with endpoints and a group of ours; subnets of another account, with all of it theirs.
EXISTING = """\
network:
  vpc_id: vpc-0123456789abcdef0
  subnets:
    - {id: subnet-0123456789abcdef1, zone: us-east-1a, route_table: rtb-0123456789abcdef1}
    - {id: subnet-0123456789abcdef2, zone: us-east-1a, route_table: rtb-0123456789abcdef1}
    - {id: subnet-0123456789abcdef3, zone: us-east-1b, route_table: rtb-0123456789abcdef3}
"""
SHARED = """\
network:
  vpc_id: vpc-0123456789abcdef0
  owner: "777788889999"
  subnets:
    - {id: subnet-0123456789abcdef1, zone: us-east-1a}
    - {id: subnet-0123456789abcdef3, zone: us-east-1b}
  endpoints: theirs
  security_groups: [sg-0123456789abcdef1, sg-0123456789abcdef2]
  proxy: {url: "http://proxy.example.com:3128", bypass: [athena.us-east-1.amazonaws.com]}
"""
TO_PROD = 'promotion: {target: {environment: prod, account: "444455556666"}}\n'
FROM_DEV = 'promotion: {source: {environment: dev, account: "111122223333"}}\n'
VARIANTS = {
    "dev": ("dev", DEV + "lake_formation: {account_stack: true}\n"),
    "account_off": ("dev", DEV),
    "iam_only": ("dev", DEV + "lake_formation: {mode: iam_only}\n"),
    "prod": ("prod", PROD),
    "serving": (
        "dev",
        DEV
        + "lake_formation: {account_stack: true}\n"
        + BEDROCK
        + TO_PROD
        + SERVING.format(arn=PACKAGE.format("111122223333", "dev"), least=1),
    ),
    "asleep": (
        "dev",
        DEV
        + "lake_formation: {account_stack: true}\n"
        + SERVING.format(arn=PACKAGE.format("111122223333", "dev"), least=0)
        + "  mode: asynchronous\n",
    ),
    "existing": ("dev", DEV.replace("network: {zones: [a]}\n", EXISTING)),
    "shared": (
        "dev",
        DEV.replace("network: {zones: [a]}\n", SHARED)
        + SERVING.format(arn=PACKAGE.format("111122223333", "dev"), least=1),
    ),
    "serving_prod": (
        "prod",
        PROD + FROM_DEV + SERVING.format(arn=PACKAGE.format("444455556666", "prod"), least=2),
    ),
}


# What a training on several nodes adds to the stacks, in one variant.
SEVERAL_NODES = (
    "train.distributed={strategy: fsdp, nodes: 2, processes: 4, instance_type: ml.g6.12xlarge}",
)


def github_of(variant: str) -> Any:
    """What a variant trusts of GitHub's: GitHub Actions delivers those that serve."""
    from sashiko.settings.delivery import GitHubTrust, RepositoryIds, Source

    if not variant.startswith("serving") or "delivery" not in PACKS:
        return None
    ids = RepositoryIds(owner=1234, repository=567890)
    source = Source(host="github", repository="acme/churn", branch="main", ids=ids)
    return GitHubTrust(source=source, makes_provider=True)


def tools_to(variant: str) -> Any:
    """The tools' account whose pipeline deploys a variant; None where none does."""
    from tests.infra.delivery import tools_of

    return tools_of() if variant == "account_off" else None


def settings_of(variant: str) -> Any:
    """The settings of a variant, from base.yaml and the lines above."""
    from sashiko.settings.environment import load_settings

    with tempfile.TemporaryDirectory() as folder:
        write_config(Path(folder), variant)
        return load_settings(VARIANTS[variant][0], folder=Path(folder))


def write_config(folder: Path, variant: str) -> None:
    """Writes a variant's files of settings into a folder."""
    environment, text = VARIANTS[variant]
    shutil.copy(ROOT / "config/base.yaml", folder)
    (folder / f"{environment}.yaml").write_text(text)


def contracts_of(settings: Any) -> Any:
    from sashiko.contract.load import load_contract

    names = [ROOT / f"contracts/{name}.odcs.yaml" for name in settings.contracts]
    return tuple(load_contract(path) for path in names)


def recipes_of(settings: Any) -> Any:
    """The shipped recipe that an environment's pipeline trains; of iam_only, on several nodes."""
    from sashiko.settings.recipe import load_recipe

    overrides = SEVERAL_NODES if settings.lake_formation.mode == "iam_only" else ()
    return (load_recipe(ROOT / f"recipes/{settings.recipe}.yaml", overrides=overrides),)


def pipelines_of(settings: Any, recipes: Any) -> Any:
    """The recipes' pipelines, compiled once for all test processes."""
    from sashiko_cdk.deployment import compile_pipelines

    return compile_pipelines(settings, recipes, home=ROOT / ".pytest_cache/sashiko")


def deployment_of(
    settings: Any,
    *,
    contracts: Any = None,
    recipes: Any = None,
    github: Any = None,
    tools: Any = None,
) -> Any:
    """What an environment's stacks are made from: the shipped contracts and recipe, or others."""
    from sashiko.settings.environment import deployed_environments
    from sashiko_cdk.deployment import Deployment

    recipes = recipes or recipes_of(settings)
    return Deployment(
        settings=settings,
        environments=deployed_environments(),
        contracts=contracts or contracts_of(settings),
        recipes=recipes,
        pipelines=pipelines_of(settings, recipes),
        github=github,
        tools=tools,
    )


def new_app() -> Any:
    """An app as the command line starts it, with the feature flags of cdk.json."""
    from aws_cdk import App

    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return App(context=context, analytics_reporting=False, outdir=folder)


def github_template(variant: str) -> dict[str, Any]:
    """The stack of GitHub Actions alone, which needs neither pipelines nor contracts."""
    from sashiko_cdk.deployment import Deployment
    from sashiko_packs.delivery.constructs.github import GitHubActions

    app, settings = new_app(), settings_of(variant)
    bare = Deployment(settings=settings, environments=(), contracts=(), recipes=(), pipelines=())
    GitHubActions(app, bare, trust=github_of(variant))
    file = Path(app.synth().directory, "GitHubActions.template.json")
    template: dict[str, Any] = json.loads(file.read_text())
    return template


@functools.cache
def synthesized(variant: str) -> Path:
    """The folder with a variant's templates: synthesized once a test run, without validation.

    The first of the run's processes that asks for it synthesizes, and the others wait.
    """
    runs = ROOT / ".pytest_cache/sashiko/synthesized"
    folder = runs / os.environ.get("PYTEST_XDIST_TESTRUNUID", f"process-{os.getpid()}") / variant
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            for run in runs.iterdir():  # what runs have left that began two hours ago or earlier
                if run != folder.parent and time.time() - run.stat().st_mtime > 2 * 3600:
                    shutil.rmtree(run, ignore_errors=True)
            made = folder.with_suffix(".new")
            shutil.rmtree(made, ignore_errors=True)
            shutil.copytree(_synthesize(variant), made)
            made.rename(folder)
    control = os.environ.get("BREACH")
    return _broken(folder, control) if control else folder


def _broken(folder: Path, control: str) -> Path:
    """Returns a copy of a folder whose templates break a control: tests/infra/breaches.py."""
    from tests.infra.breaches import break_control

    copy = Path(tempfile.mkdtemp(), folder.name)
    atexit.register(shutil.rmtree, copy.parent, ignore_errors=True)
    shutil.copytree(folder, copy, symlinks=True)
    break_control(copy, control)
    return copy


def _synthesize(variant: str) -> Path:
    from infra.app import add_stacks
    from sashiko.account.templates import read_templates
    from sashiko_cdk.bootstrap.policies import write_policies

    app = new_app()
    settings = settings_of(variant)
    delivered = {"github": github_of(variant), "tools": tools_to(variant)}
    add_stacks(app, deployment_of(settings, **delivered))
    folder = Path(app.synth().directory)
    write_policies(settings, [read_templates(settings, folder=folder)], folder / "bootstrap")
    return folder


@functools.cache
def assembly_of(variant: str) -> Any:
    """A variant's templates as typed records."""
    from sashiko.account.templates import read_templates

    return read_templates(settings_of(variant), folder=synthesized(variant))


def bootstrapped(
    settings: Any, *templates: Any, trust_open: bool = False, tools: Any = None
) -> Any:
    """The template of the policies that CloudFormation gets for what `assembly_of` returns."""
    from sashiko_cdk.bootstrap.policies import add_policies

    app = new_app()
    add_policies(app, settings, templates, trust_open=trust_open, tools=tools)
    app.synth()
    return json.loads(Path(app.outdir, "Bootstrap.template.json").read_text())


def templates_of(variant: str) -> dict[str, dict[str, Any]]:
    """Stack id, such as `Identity` -> template."""
    files = sorted(synthesized(variant).glob("*.template.json"))
    return {
        file.name.removesuffix(".template.json"): json.loads(file.read_text()) for file in files
    }


def resources(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """Logical id -> resource, of one type."""
    items = template["Resources"].items()
    return {logical: resource for logical, resource in items if resource["Type"] == kind}


def some(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    """The same of which there has to be one: what is asserted of each of none always holds."""
    matches = resources(template, kind)
    assert matches, f"the template has no {kind}"
    return matches


def all_before(template: dict[str, Any], logical: str) -> set[str]:
    dependencies: set[str] = set()
    queue = [logical]
    while queue:
        needed = template["Resources"][queue.pop()].get("DependsOn", [])
        queue += [name for name in needed if name not in dependencies]
        dependencies.update(needed)
    return dependencies


def only(template: dict[str, Any], kind: str) -> dict[str, Any]:
    (resource,) = resources(template, kind).values()
    return dict(resource["Properties"])


def named(template: dict[str, Any], kind: str, key: str) -> dict[str, dict[str, Any]]:
    """Name -> properties, of the resources of a type that have a name, in the property `key`."""
    properties = [resource["Properties"] for resource in some(template, kind).values()]
    return {item[key]: item for item in properties if key in item}


def as_list(value: Any) -> list[Any]:
    """The items of what templates write as a list, or alone where it is one."""
    return value if isinstance(value, list) else [value]


@functools.cache
def environment_of(variant: str) -> Any:
    """Who may do what, by a variant's templates."""
    from sashiko.account.access.environment_access import read_environment

    return read_environment(settings_of(variant), folder=synthesized(variant))


def principals_of(variant: str) -> dict[str, Any]:
    """Role, without the environment's prefix -> what a variant's templates let it do."""
    return {principal.name: principal for principal in environment_of(variant).principals}


def changed(settings: Any, section: str, **values: Any) -> Any:
    """The same settings with other values in a section, such as `jobs.training`."""
    name, _, rest = section.partition(".")
    part = getattr(settings, name)
    part = changed(part, rest, **values) if rest else part.model_copy(update=values)
    return settings.model_copy(update={name: part})


def who_may(variant: str, action: str) -> set[str]:
    """The roles that a variant's templates let do something, on whatever resource."""
    return {name for name, role in principals_of(variant).items() if role.may(action, "*")}


def output_of(command: Sequence[Any], **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command, which may fail, and keeps what it prints."""
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def complete_request(action: str, resource: str, context: Mapping[str, str]) -> Request:
    """A request that has these condition keys and no others."""
    return Request(action=action, resource=resource, context=context, complete=True)
