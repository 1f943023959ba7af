"""Packs: features of the engine that a project turns on, and that can be left out.

A distribution makes a pack available by an entry point of the group `sashiko.packs`. The list
`packs:` in `config/base.yaml` alone turns it on, so that a synth depends on the commit and never on
what the environment happens to hold.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Literal

from sashiko.base.plugin_names import names, reference
from sashiko.base.yaml_text import YamlError, parse_yaml
from sashiko.errors import InputError

__all__ = ["Pack"]

SectionKind = Literal["recipe", "environment"]
_GROUP: Final = "packs"
_KEY: Final = "packs"


@dataclass(frozen=True, kw_only=True)
class PackPipeline:
    """A pipeline of each recipe beside the one that trains."""

    module: str  # of `pipelines/`; its name in an account ends with it
    description: str  # with a placeholder `{recipe}`
    costs: str  # the title of what `sashiko env cost` shows of its jobs
    most_a_month: int | None = None  # executions in an account; None if a schedule is the team's


@dataclass(frozen=True, kw_only=True)
class Pack:
    """What a pack adds to the core.

    Values are the names of objects, as `package.module:attribute`. They are imported where they are
    used, so that a job's image loads no `aws_cdk`, and a synth no pandas.
    """

    name: str
    # Section of a recipe -> its model, a `Frozen` with a default for each key.
    recipe_sections: Mapping[str, str] = field(default_factory=dict)
    # Section of an environment's settings -> its model.
    environment_sections: Mapping[str, str] = field(default_factory=dict)
    # Command of `sashiko`, or of a group such as `model`, as `model deliver` -> its function or
    # Typer app.
    commands: Mapping[str, str] = field(default_factory=dict)
    # A command of `sashiko` itself -> its group in the help, such as `Monitoring`.
    panels: Mapping[str, str] = field(default_factory=dict)
    # Old name of a command -> its name, for one minor version.
    renamed: Mapping[str, str] = field(default_factory=dict)
    pipelines: tuple[PackPipeline, ...] = ()
    # Title of a check of `sashiko env doctor` -> `(account, settings) -> Iterator[Check]`.
    checks: Mapping[str, str] = field(default_factory=dict)
    # What `sashiko env drift` compares beside what the core has:
    # `(account, environment) -> Iterator[sashiko.account.access.live.Difference]`.
    drift: str = ""
    # What `sashiko env stage` writes beside the pipelines' inputs:
    # `(settings, recipe, *, contract, account) -> Iterator[StagedPlace]`.
    staged: str = ""
    # Of a synth. The roles: a sequence of `sashiko_cdk.identity.role_table.RoleRecord`.
    roles: str = ""
    # Actions that its roles' policies allow and the core's do not, for the roles' boundary.
    actions: tuple[str, ...] = ()
    # Constructs keep their paths whatever pack they lie in, as logical ids follow.
    # Stacks before the core's: `(app, deployment) -> Sequence[EnvironmentStack]`.
    first_stacks: str = ""
    # Stacks after the pipeline's: `(app, deployment, *, artifacts_key_arn) -> Sequence[...]`.
    stacks: str = ""
    # The stack of the tools' account: `(app, tools) -> None`.
    tools_stack: str = ""
    # The boundary of its roles: `(scope, id, *, tools) -> ManagedPolicy`.
    tools_boundary: str = ""
    # Constructs in the stacks DataLake and Pipeline: `(stack, parts) -> None`, and the state
    # machines that start something, of `sashiko_cdk.pack_parts`.
    lake_parts: str = ""
    pipeline_parts: str = ""
    # Statements and rules of the lake's buckets: `(settings, buckets) -> None`.
    bucket_parts: str = ""
    # Tables beside the contracts': `(settings, recipe, contracts) -> Mapping[location, table]`.
    lake_tables: str = ""
    # What its processing jobs run on, beside `jobs` of the settings, so that the pipeline may start
    # them: `(settings) -> Sequence[ProcessingJob]`.
    jobs: str = ""
    # Whether it writes captures by a schedule, also where nothing is served: `(settings) -> bool`.
    captures: str = ""
    # Contracts of further tables: `(settings, recipe, contracts) -> Sequence[Contract]`.
    lake_contracts: str = ""
    # Who reads what a job names by its arguments, in the artifacts bucket:
    # `(settings, job) -> Iterator[tuple[role, URI]]`.
    artifact_readers: str = ""
    # Interface endpoints of the VPC: `(settings) -> Mapping[service, Use]`.
    endpoints: str = ""
    # Security rules: a sequence of `Rule`.
    rules: str = ""
    # Folder of the local home -> what it holds, for `sashiko runs clean`.
    home: Mapping[str, str] = field(default_factory=dict)
    # `sashiko run --sweep`: see `sashiko.commands.run`, which calls it.
    sweep: str = ""


def enabled_packs(*, folder: Path = Path("config")) -> tuple[Pack, ...]:
    """Returns the packs that the project turns on, in the order of its list.

    Outside of a project, where there is no `base.yaml`, all available ones are on.

    Raises:
        InputError: if the file is not valid, or names a pack that is not available.
    """
    file = folder / "base.yaml"
    if not file.is_file():
        return load_packs(names(_GROUP), source="")
    try:
        value = parse_yaml(file.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, YamlError) as error:
        raise InputError(f"{file} is not valid YAML: {error}") from error
    return load_packs(value.get(_KEY, ()) if isinstance(value, dict) else (), source=str(file))


def load_packs(listed: Any, *, source: str) -> tuple[Pack, ...]:
    """Imports the records of packs by their names; `source` is the list's file, for errors.

    Raises:
        InputError: if the list is not one of names, names one twice, or one is not available.
    """
    available = names(_GROUP)
    where = f"{source}: key `{_KEY}`"
    if not isinstance(listed, list | tuple) or not all(isinstance(name, str) for name in listed):
        raise InputError(f"{where}: expected a list of names; available: {', '.join(available)}")
    for name in listed:
        if name not in available:
            raise InputError(
                f"{where}: there is no pack `{name}`; available: {', '.join(available) or 'none'}"
            )
    if len(set(listed)) < len(listed):
        raise InputError(f"{where}: it names a pack twice")
    return tuple(load_object(reference(_GROUP, name)) for name in listed)


def other_packs(packs: Iterable[Pack]) -> tuple[Pack, ...]:
    """Returns the available packs that are not among `packs`."""
    known = {pack.name for pack in packs}
    return load_packs([name for name in names(_GROUP) if name not in known], source="")


def pack_objects(kind: str, packs: Iterable[Pack] | None = None) -> tuple[Any, ...]:
    """Imports what packs that are on name in a field of `Pack`, such as `staged`."""
    named = (getattr(pack, kind) for pack in (enabled_packs() if packs is None else packs))
    return tuple(load_object(name) for name in named if name)


def pack_folders() -> tuple[Path, ...]:
    """Returns the folders of the code of the packs that are on."""
    modules = (reference(_GROUP, pack.name).partition(":")[0] for pack in enabled_packs())
    specs = (find_spec(module) for module in modules)
    return tuple(Path(spec.origin).parent for spec in specs if spec and spec.origin)


def load_object(name: str) -> Any:
    """Imports an object by `package.module:attribute`."""
    return EntryPoint(name="", value=name, group="").load()


def pack_sections(packs: Iterable[Pack], kind: SectionKind) -> dict[str, str]:
    """Returns the sections that packs add to a recipe or an environment: key -> model's name.

    Raises:
        InputError: if two packs add the same one.
    """
    packs = tuple(packs)
    own = (
        pack.recipe_sections if kind == "recipe" else pack.environment_sections for pack in packs
    )
    return _merge(packs, own, what=f"{kind}'s section")


def pack_commands(group: str) -> dict[str, str]:
    """Returns the commands that packs which are on add to a group, such as `model`.

    An empty group is `sashiko` itself. A command's name -> `package.module:attribute`.

    Raises:
        InputError: if two packs add the same one.
    """
    packs = enabled_packs()
    commands = _merge(packs, (pack.commands for pack in packs), what="command")
    parts = ((path.rpartition(" "), target) for path, target in commands.items())
    return {name: target for (parent, _, name), target in parts if parent == group}


def _merge(
    packs: Sequence[Pack], parts: Iterable[Mapping[str, str]], *, what: str
) -> dict[str, str]:
    merged: dict[str, str] = {}
    owners: dict[str, str] = {}
    for pack, part in zip(packs, parts, strict=True):
        for key, name in part.items():
            if key in owners:
                raise InputError(
                    f"the packs `{owners[key]}` and `{pack.name}` both have the {what} `{key}`: "
                    f"keep one of them in `{_KEY}` of config/base.yaml"
                )
            merged[key], owners[key] = name, pack.name
    return merged
