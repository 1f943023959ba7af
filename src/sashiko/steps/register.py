"""Register: registers a model version pending approval, with its evidence."""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sashiko
from sashiko.base import files
from sashiko.base.files import lock_file
from sashiko.base.job_folders import processing_input, processing_output
from sashiko.bias.gates.estimates import INTERVALS_FILE, read_estimates
from sashiko.contract.manifest import Manifest, Snapshots, read_manifest, read_snapshots
from sashiko.contract.model import View
from sashiko.errors import InputError
from sashiko.evaluation.evaluation_record import (
    DECISION_FILE,
    METRICS_FILE,
    read_decision,
    read_evaluation,
)
from sashiko.evaluation.gates.verdict import (
    VERDICT_FILE,
    Verdict,
    gate_tags,
    read_verdict,
    today,
    waive,
    write_verdict,
)
from sashiko.evaluation.metrics.uncertainty import standing
from sashiko.evaluation.reference import REFERENCE_FILE, read_reference
from sashiko.explain.explanation_record import EXPLANATIONS_FILE, read_explanations
from sashiko.registry import attestation, versions
from sashiko.registry.attestation import MANIFEST_FILE, WHEEL_FILE, Resource, Statement
from sashiko.registry.model_card import CARD_FILE, CardSources, card_markdown, model_card
from sashiko.registry.model_packages.registrar import Placement
from sashiko.serving.compile_lock import CompileLock, read_lock
from sashiko.serving.inspection import inspect_artifact
from sashiko.settings.recipe import CardSection
from sashiko.settings.recipe_data import ModelSection
from sashiko.settings.recipe_train import ReweighingSection, TrainSection
from sashiko.steps.base_model import check_base_model, check_licence
from sashiko.steps.entry import run_step
from sashiko.steps.registries import KINDS, image_statements, open_registrar
from sashiko.steps.sections import read_contract, read_section, read_waivers
from sashiko.steps.source_execution import SourceExecution, check_champion, source_execution
from sashiko.steps.track import find_run

# Gate -> input of its verdict -> the expected snapshot, and the step that read it.
_SNAPSHOT_READERS: dict[str, dict[str, tuple[View, str]]] = {
    "data-quality": {"data": ("training", "Validate judged")},
    "data-quality-facets": {"data": ("facets", "ValidateFacets judged")},
    "model-quality": {
        "training-snapshot": ("training", "Prepare split"),
        "facets-snapshot": ("facets", "Weights weighed"),
    },
    "bias": {
        "facets-snapshot": ("facets", "JudgeBias counted"),
        "joined-facets-snapshot": ("facets", "BiasInput joined"),
    },
}
_DIGEST_LENGTH = 12  # characters of a digest
_DIRTY = "-dirty"
_DATA, _FACETS, _QUALITY, _BIAS = (
    f"{name}-evidence" for name in ("data", "facets", "quality", "bias")
)


def main() -> None:
    """Writes `registration.json`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--registry", required=True, help=KINDS)
    parser.add_argument("--licences", required=True, help="SPDX identifiers that are allowed")
    parser.add_argument("--model-package-group", required=True, help="where the version belongs")
    parser.add_argument("--execution-id", required=True, help="of the pipeline")
    parser.add_argument("--execution-arn", required=True, help="of the same")
    parser.add_argument("--recipe", required=True, help="the recipe's name")
    parser.add_argument("--experiment", required=True, help="the MLflow experiment")
    parser.add_argument("--bias-not-judged", default="", help="why, where the data have no facets")
    parser.add_argument("--data-uri", required=True, help="S3 URI of the training snapshot")
    parser.add_argument("--models-uri", required=True, help="S3 URI that model files lie under")
    parser.add_argument("--serving-image", required=True, help="what the artifact is served in")
    parser.add_argument("--signing-key", required=True, help="KMS alias or ARN, signs manifests")
    parser.add_argument("--reference-uri", required=True, help="S3 URI of reference.json's folder")
    parser.add_argument("--test-uri", required=True, help="S3 URI of the test split")
    parser.add_argument("--definition-sha256", required=True, help="digest of the definition")
    parser.add_argument("--image", action="append", default=[], help="URI of a job's image")
    parser.add_argument("--bias-rows-uri", help="S3 URI of its decisions and facets, if judged")
    arguments = parser.parse_args()

    source = source_execution(arguments.registry, arguments.execution_arn)
    sources = read_sources(
        arguments.recipe,
        bias_not_judged=arguments.bias_not_judged,
        source_execution=source.id if source else "",
    )
    lock = read_lock(processing_input("lock"))
    check_licence(sources.model, licences=arguments.licences.split(","))
    check_base_model(sources.model, lock)
    monitoring = {
        name: value
        for name in versions.MONITORING_TAGS
        if (value := getattr(arguments, name)) is not None
    }
    tags = version_tags(arguments.execution_id, sources, lock, monitoring)
    facets = None if arguments.bias_not_judged else read_manifest(processing_input(_FACETS))
    check_evidence(
        sources.verdicts,
        explained=read_snapshots(processing_input("explanations")),
        training=sources.snapshot,
        facets=facets,
    )
    check_artifact(lock, sources.verdicts)
    if source and source.same_champion:
        check_champion(
            arguments.registry, arguments.model_package_group, sources.evaluation.champion
        )
    decision = read_decision(processing_input(_QUALITY) / DECISION_FILE)
    placement = Placement(
        models_uri=arguments.models_uri,
        signing_key=arguments.signing_key,
        serving_image=arguments.serving_image,
        made_from=arguments.data_uri,
    )
    registrar = open_registrar(arguments.registry, placement)
    wheel = processing_input("run-manifest") / Path(WHEEL_FILE).name
    # A run on this machine has processes in the images' place.
    images = [] if arguments.registry == "mlflow" else arguments.image
    surroundings = Surroundings(
        execution_id=arguments.execution_id,
        source=source,
        definition_sha256=arguments.definition_sha256,
        images=images,
        image_statements=image_statements(images, models_uri=arguments.models_uri),
        wheel_statement=wheel.read_bytes() if wheel.is_file() else None,
    )
    with tempfile.TemporaryDirectory() as folder:
        gather(Path(folder), sources, surroundings, facets=facets)
        version, new = registrar.register(
            arguments.model_package_group,
            files=Path(folder),
            run_id=find_run(
                os.environ.get("MLFLOW_TRACKING_URI", ""),
                experiment=arguments.experiment,
                execution_id=source.tracked if source else arguments.execution_id,
            ),
            threshold=decision.threshold,
            tags=tags,
        )
        for name in (CARD_FILE, versions.MARKDOWN_FILE):
            shutil.copyfile(Path(folder) / name, processing_output("registration") / name)
    record = {
        "model_package_group": version.group,
        "version": version.version,
        "status": version.status,
        "artifact_sha256": version.artifact_sha256,
        "threshold": version.threshold,
        "new": new,
        **({"model_package_arn": version.arn} if version.arn else {}),
    }
    files.write_json(processing_output("registration") / "registration.json", record)
    state = "registered" if new else "is registered already"
    print(f"{version.group} version {version.version} {state}", file=sys.stderr)


# Checks that a run's evidence is of the run's own snapshots.
#
# Snapshots are taken in every run, but most other steps are cached by the URIs of their inputs:
# "Default cache key attributes by pipeline step type", Amazon SageMaker AI Developer Guide. Rows
# that are reloaded under an existing version have the same URIs, so a cached verdict, model or
# weight may be of the earlier rows.


def check_evidence(
    verdicts: Sequence[Verdict],
    *,
    explained: Snapshots,
    training: Manifest,
    facets: Manifest | None,
) -> None:
    """Compares every data digest of the evidence with the run's snapshots.

    Raises:
        InputError: names each step that used other data, or does not name its data.
    """
    snapshots = {"training": training, **({"facets": facets} if facets else {})}
    # The reader, the snapshot's view and the digest that was read.
    used: list[tuple[str, View, str | None]] = [
        (user, view, verdict.inputs.get(name))
        for verdict in verdicts
        for name, (view, user) in _SNAPSHOT_READERS.get(verdict.gate, {}).items()
    ]
    mismatches = [
        f"{user} {digest[:_DIGEST_LENGTH] if digest else 'data that it does not name'}, the {view} "
        f"snapshot is {snapshots[view].sha256[:_DIGEST_LENGTH]}"
        for user, view, digest in (*used, ("Explain read", "training", explained.training))
        if view in snapshots and digest != snapshots[view].sha256
    ]
    if mismatches:
        raise InputError(
            f"the evidence is not of the data of this run (sha256): {'; '.join(mismatches)}. Rows "
            f"were loaded again as version {training.as_of}, after these steps had run on the rows "
            "before: load them as a new version, and start the pipeline with it"
        )


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a run was made in."""

    execution_id: str
    source: SourceExecution | None  # whose results it reuses, if any
    definition_sha256: str  # hex, as `sashiko.pipeline.definition.definition_records` computes it
    images: Sequence[str]  # URIs; none of a run on this machine
    image_statements: Mapping[str, bytes]  # URI -> statement, of the images that have one
    wheel_statement: bytes | None  # of the engine, where a project has its wheel


def write_provenance(
    folder: Path, sources: CardSources, surroundings: Surroundings, *, facets: Manifest | None
) -> None:
    """Writes the statement about a version, after its manifest, which it names.

    Raises:
        InputError: if a statement about an image or the wheel is damaged.
    """
    model = sources.model
    statement = Statement(
        build="model",
        subject=tuple(
            _file(name, files.sha256_file(folder / name))
            for name in (versions.ARTIFACT_FILE, MANIFEST_FILE)
        ),
        parameters={"recipe": sources.recipe},
        dependencies=(
            *_code(sources, surroundings),
            *_data(sources, facets),
            *(
                _file(f"base model/{name}", digest, model=model.name, licence=model.licence or "")
                for name, digest in model.files.items()
            ),
            *_images(surroundings),
        ),
        builder=f"urn:sashiko:builder:{'sagemaker' if surroundings.images else 'local'}",
        invocation=surroundings.execution_id,
    )
    files.write_bytes(folder / attestation.STATEMENT_FILE, statement.to_json())


def _code(sources: CardSources, surroundings: Surroundings) -> Iterator[Resource]:
    commit = sources.git_sha.removesuffix(_DIRTY)
    if commit != "unknown":
        changes = {"uncommitted changes": "yes"} if commit != sources.git_sha else {}
        yield Resource(name="commit", digest={"gitCommit": commit}, annotations=changes)
    if source := surroundings.source:
        reused = {"reused steps": ", ".join(source.steps)}
        yield Resource(name="source execution", uri=source.arn, annotations=reused)
    yield _file("definition", surroundings.definition_sha256)
    package = {"dirHash": package_hash(Path(sashiko.__file__).parent)}
    yield Resource(name="engine", digest=package, annotations={"version": sashiko.__version__})
    if not surroundings.images:  # an image's statement names its own lock
        yield _file("requirements/run.txt", files.sha256_file(lock_file("run")))


def package_hash(package: Path) -> str:
    """Returns the `dirHash` of an installed package, without what Python compiled."""
    return files.dir_hash(
        {
            file.relative_to(package).as_posix(): files.sha256_file(file)
            for file in files.walk_files(package)
            if "__pycache__" not in file.parts
        }
    )


def _data(sources: CardSources, facets: Manifest | None) -> Iterator[Resource]:
    for name, manifest in {"training snapshot": sources.snapshot, "facet snapshot": facets}.items():
        if manifest:
            notes = {"as of": manifest.as_of}
            notes |= {"source": manifest.source.text} if manifest.source else {}
            yield _file(name, manifest.sha256, table=manifest.table, **notes)
    contract = sources.contract
    yield _file("contract", contract.sha256, id=contract.id, version=contract.version)


def _images(surroundings: Surroundings) -> Iterator[Resource]:
    """Yields the images, the engine's wheel, and the statements about them."""
    for image in surroundings.images:
        content = surroundings.image_statements.get(image)
        name, uri = f"image {image.rpartition('/')[2]}", attestation.image_purl(image)
        if content is None:
            _, _, digest = image.partition("@sha256:")
            yield Resource(name=name, uri=uri, digest={"sha256": digest} if digest else {})
            continue
        file = attestation.image_statement_file(image)
        (subject,) = _read(content, "image", file=file).subject
        yield Resource(name=name, uri=uri, digest=subject.digest)
        yield _file(file, files.sha256_bytes(content))
    if content := surroundings.wheel_statement:
        wheel = _read(content, "wheel", file=WHEEL_FILE).subject[0]
        yield Resource(name=f"wheel {wheel.name}", digest=wheel.digest)
        yield _file(WHEEL_FILE, files.sha256_bytes(content))


def _file(name: str, digest: str, **annotations: str) -> Resource:
    return Resource(name=name, digest={"sha256": digest}, annotations=annotations)


def _read(content: bytes, build: attestation.Build, *, file: str) -> Statement:
    try:
        return attestation.read_statement(content, build=build)
    except ValueError as error:
        raise InputError(f"{file}: {error}; build it again") from error


def read_sources(recipe: str, *, bias_not_judged: str, source_execution: str) -> CardSources:
    """Reads the run's evidence for the model card.

    Raises:
        InputError: if a file is missing or damaged.
    """
    source = files.read_json(processing_input("run-manifest") / "source.json")
    gates = [_DATA, _QUALITY, "device-verdict"]
    gates += [] if bias_not_judged else [_FACETS, _BIAS]
    verdicts = [read_verdict(processing_input(name)) for name in gates]
    return CardSources(
        contract=read_contract(),
        snapshot=read_manifest(processing_input(_DATA)),
        evaluation=read_evaluation(processing_input(_QUALITY) / METRICS_FILE),
        estimates=()
        if bias_not_judged
        else read_estimates(processing_input(_BIAS) / INTERVALS_FILE),
        explanations=read_explanations(processing_input("explanations") / EXPLANATIONS_FILE),
        verdicts=[
            waive(verdict, read_waivers(), on=today())
            for verdict in sorted(verdicts, key=lambda verdict: verdict.gate)
        ],
        recipe=recipe,
        card=read_section(CardSection, "card"),
        train=read_section(TrainSection, "train"),
        reweighing=read_section(ReweighingSection, "reweighing"),
        model=read_section(ModelSection, "model"),
        git_sha=source["git_sha"] + (_DIRTY if source["dirty"] else ""),
        bias_not_judged=bias_not_judged,
        source_execution=source_execution,
    )


def check_artifact(lock: CompileLock, verdicts: Sequence[Verdict]) -> None:
    """Checks that the artifact is the one that Compile wrote, and Evaluate and the gates judged.

    Raises:
        InputError: if it was changed, contains a pickle, or its reference is missing or damaged.
    """
    folder = processing_input("artifact")
    archive = folder / versions.ARTIFACT_FILE
    inspect_artifact(archive, expected=lock.artifact)
    if files.sha256_file(archive) != lock.artifact_sha256:
        raise InputError(
            f"{archive} is not the archive that the compile lock names (its sha256 differs): it "
            "was packed again after Compile; run the pipeline again"
        )
    reference = read_reference(processing_input(_QUALITY) / REFERENCE_FILE)
    if reference.artifact_sha256 != lock.artifact_sha256:
        raise InputError(
            f"{REFERENCE_FILE} describes another artifact (sha256 {reference.artifact_sha256}) "
            f"than this one ({lock.artifact_sha256}); run the pipeline again"
        )
    digest = files.sha256_tree(folder)
    for verdict in verdicts:
        if verdict.inputs.get("artifact", digest) != digest:
            raise InputError(
                f"gate {verdict.gate} judged another artifact (sha256 {verdict.inputs['artifact']})"
                f" than this one ({digest}); run the pipeline again"
            )
    predictions = {
        verdict.inputs["predictions"]: verdict.gate
        for verdict in verdicts
        if "predictions" in verdict.inputs
    }
    if len(predictions) > 1:
        raise InputError(
            f"the gates {' and '.join(sorted(predictions.values()))} judged different predictions; "
            "run the pipeline again"
        )


def gather(
    folder: Path, sources: CardSources, surroundings: Surroundings, *, facets: Manifest | None
) -> None:
    """Copies artifact and evidence to `folder`, and adds the card, a manifest and the provenance.

    Raises:
        InputError: if a statement about an image or the engine's wheel is damaged.
    """
    unlike = shutil.ignore_patterns(VERDICT_FILE)  # each gate's has a folder
    for name in (
        "artifact",
        "lock",
        _DATA,
        _QUALITY,
        *([] if sources.bias_not_judged else [_BIAS]),
    ):
        shutil.copytree(processing_input(name), folder, dirs_exist_ok=True, ignore=unlike)
    for verdict in sources.verdicts:
        write_verdict(verdict, folder / verdict.gate)
    card = model_card(sources)
    files.write_json(folder / CARD_FILE, card.model_dump(mode="json", exclude_none=True))
    files.write_bytes(folder / versions.MARKDOWN_FILE, card_markdown(card).encode())
    for image, content in surroundings.image_statements.items():
        files.write_bytes(folder / attestation.image_statement_file(image), content)
    if surroundings.wheel_statement:
        files.write_bytes(folder / WHEEL_FILE, surroundings.wheel_statement)
    digests = {
        file.relative_to(folder).as_posix(): files.sha256_file(file)
        for file in files.walk_files(folder)
    }
    files.write_json(folder / MANIFEST_FILE, digests)
    write_provenance(folder, sources, surroundings, facets=facets)


def version_tags(
    execution_id: str, sources: CardSources, lock: CompileLock, monitoring: Mapping[str, str]
) -> dict[str, str]:
    """Returns a version's tags: data, contract, code, artifact, gates, main metric, monitoring.

    Raises:
        InputError: if a gate failed and was not waived.
    """
    contract = sources.contract
    # How the model compares with the champion on the test split, if there is one.
    evaluation, (metric, _) = sources.evaluation, sources.evaluation.compared
    lead = evaluation.leads.get("champion", {}).get(metric)
    minimum_effect = evaluation.minimum_effect
    gates = gate_tags(sources.verdicts, bias_not_judged=sources.bias_not_judged)
    if not all(verdict.released for verdict in sources.verdicts):
        raise InputError(f"a failed gate cannot be registered: {gates}")
    test_from = evaluation.splits["test"].since
    return {
        "execution_id": execution_id,
        **({versions.SOURCE_TAG: sources.source_execution} if sources.source_execution else {}),
        "data_sha256": sources.snapshot.sha256,
        "contract": contract.id,
        "contract_version": contract.version,
        "contract_sha256": contract.sha256,
        "recipe": sources.recipe,
        "git_sha": sources.git_sha,
        f"metric.{metric}": versions.figure_text(evaluation.candidate[metric].value),
        **({versions.STANDING_TAG: standing(lead, minimum_effect=minimum_effect)} if lead else {}),
        **monitoring,
        **({"test_from": str(test_from)} if test_from else {}),
        **lock.facts(),
        **gates,
    }


if __name__ == "__main__":
    run_step(main)
