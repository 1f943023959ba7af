"""`sashiko model shadow`: a candidate beside the champion on captured requests."""

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sashiko.commands.monitored import Length, Monitored, Now, open_monitored
from sashiko.commands.options import AsJson, Environment, Home, RecipeName
from sashiko.core.files import write_json
from sashiko.errors import InputError
from sashiko.pipeline.project import HOME, MONITOR
from sashiko.registry.versions import ModelVersion
from sashiko.settings.environment import load_settings

if TYPE_CHECKING:
    from sashiko.monitoring.reference import Reference
    from sashiko.monitoring.shadow import Shadow


def shadow(
    version: Annotated[int, typer.Argument(help="The candidate's number.")],
    window: Length = "7d",
    now: Now = None,
    env: Environment = "local",
    recipe: RecipeName = None,
    home: Home = HOME,
    json_: AsJson = False,
) -> None:
    """Score captured requests with a candidate, and compare it with the champion that answered.

    Shows which decisions differ, how far the scores lie apart, and who is right more often on the
    rows that were drawn and labelled for the audit; with paired intervals. `model approve` repeats
    the outcome. A request takes about the time that the champion took.
    """
    from sashiko.report.shadow_page import describe, write_shadow_page

    settings = load_settings(env)
    if settings.tier != "local":
        raise InputError(
            f"--env {env}: captured requests of an account are read by jobs of the role `monitor` "
            "alone, which may read no model: compare on this machine, without --env"
        )
    monitored = open_monitored(window, now, None, place=(env, recipe, home))
    candidate = monitored.registry.version(monitored.version.group, version)
    result = _compare(monitored, candidate)
    path = _file(home, candidate)
    write_json(path, result.model_dump(mode="json"))
    page = path.with_suffix(".html")
    command = f"sashiko model approve {version}{monitored.options} --reason ..."
    write_shadow_page(result, page, command=command)
    if json_:
        typer.echo(json.dumps(result.model_dump(mode="json"), indent=2))
        return
    for line in (*describe(result), f"report: {page}", f"next: {command}"):
        typer.echo(line)


def shadow_note(
    version: ModelVersion, champion: ModelVersion | None, *, home: Path, options: str
) -> str:
    """Returns what the last comparison of a candidate came to, for whoever approves it.

    Args:
        version: the candidate.
        champion: the one at this moment.
        home: the folder of all local state.
        options: of a printed command, to select the same recipe and home.
    """
    from sashiko.monitoring.shadow import read_shadow
    from sashiko.report.shadow_page import describe

    path = _file(home, version)
    command = f"sashiko model shadow {version.version}{options}"
    if not path.is_file():
        return f"shadow: none, no captured request was scored with this version: {command}"
    try:
        result = read_shadow(path)
    except InputError as error:
        return f"shadow: {path} cannot be read: {error}: {command}"
    if result.artifact_sha256 != version.artifact_sha256:
        return f"shadow: none, {path} is of another artifact: {command}"
    is_current = champion is not None and champion.version == result.champion
    lines = (
        describe(result) if is_current else ["the champion is another one since", *describe(result)]
    )
    return "\n".join(f"shadow: {line}" for line in lines)


def _file(home: Path, version: ModelVersion) -> Path:
    """Returns the place of a version's last comparison."""
    return home / MONITOR / "shadow" / version.group / str(version.version) / "shadow.json"


def _compare(monitored: Monitored, candidate: ModelVersion) -> "Shadow":
    from sashiko.monitoring.capture.reading import read_captures
    from sashiko.monitoring.shadow import Shadow
    from sashiko.monitoring.shadow_comparison import compare
    from sashiko.monitoring.shadow_rows import find_audited, score_requests
    from sashiko.pipeline.monitor_run import captured_folder
    from sashiko.serving.artifact import open_artifact

    champion, window, folder = monitored.version, monitored.window, monitored.folder
    captures = captured_folder(folder, group=champion.group)
    with tempfile.TemporaryDirectory(prefix="sashiko-shadow-") as scratch:
        reference = _read_reference(monitored, candidate, Path(scratch))
        _check_comparable(
            reference, _read_reference(monitored, champion, Path(scratch)), candidate, champion
        )
        captured = Path(scratch, "rows.parquet")
        columns = [counts.column for counts in reference.columns]
        summary = read_captures(captures, captured, window=window, now=window.end, columns=columns)
        if champion.version not in {answered.version for answered in summary.versions}:
            others = ", ".join(str(answered.version) for answered in summary.versions) or "none"
            raise InputError(
                f"{captures}: version {champion.version}, the champion, answered no request in the "
                f"window (versions that did: {others}); choose --window and --now so that it did"
            )
        archive = monitored.registry.download(candidate, Path(scratch))
        with open_artifact(archive, threshold=candidate.threshold, on_cpu=True) as artifact:
            rows = score_requests(captured, artifact, reference, version=champion.version)
    audited = find_audited(
        rows.keys,
        labels=folder.path(folder.places.labels),
        draws=folder.path(folder.places.draws),
        version=champion.version,
        now=window.end,
        positive=reference.labels[1],
    )
    thresholds = candidate.threshold, champion.threshold
    return Shadow(
        group=candidate.group,
        version=candidate.version,
        artifact_sha256=candidate.artifact_sha256,
        champion=champion.version,
        start=window.start,
        end=window.end,
        comparison=compare(rows, audited, folder.recipe.evaluate, thresholds=thresholds),
        note=_note(candidate, start=f"{window.start:%Y-%m-%d}"),
    )


def _read_reference(monitored: Monitored, version: ModelVersion, folder: Path) -> "Reference":
    from sashiko.monitoring.reference import REFERENCE_FILE, read_reference

    path = folder / REFERENCE_FILE
    path.write_bytes(monitored.registry.file(version, REFERENCE_FILE))
    return read_reference(path)


def _check_comparable(
    reference: "Reference", other: "Reference", candidate: ModelVersion, champion: ModelVersion
) -> None:
    """Refuses a candidate of another contract, to which the captured requests say nothing."""
    if reference.labels != other.labels:
        raise InputError(
            f"version {candidate.version} decides between `{'` and `'.join(reference.labels)}`, "
            f"version {champion.version}, whose answers are captured, between "
            f"`{'` and `'.join(other.labels)}`: versions of different labels cannot be compared"
        )
    known = {counts.column for counts in other.columns}
    missing = [counts.column for counts in reference.columns if counts.column not in known]
    if missing:
        raise InputError(
            f"version {candidate.version} reads column `{'`, `'.join(missing)}`, which the "
            f"requests to version {champion.version} need not have: they cannot be scored with it"
        )


def _note(candidate: ModelVersion, *, start: str) -> str:
    test_from = candidate.tags.get("test_from")
    if test_from is not None and test_from <= start:
        return ""
    since = f"its test split begins on {test_from}" if test_from else "it is not split by time"
    return f"version {candidate.version} may have learned from rows of the window: {since}"
