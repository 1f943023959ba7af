"""Whole runs to report on: registered, blocked by the bias gate, failed while training."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from scipy import special

from sashiko.base.files import write_json
from sashiko.base.parquet import write_table
from sashiko.bias.gates.bias_gate import Mitigation, bias_checks
from sashiko.bias.gates.estimates import BiasEstimate
from sashiko.contract.manifest import ColumnType, ContractVersion, Manifest
from sashiko.contract.model import SplitDates
from sashiko.data.splits import SplitMeta, SplitSummary
from sashiko.evaluation import evaluation_record as record
from sashiko.evaluation.gates.quality_checks import Training, quality_checks
from sashiko.evaluation.gates.verdict import Check, decide, read_verdict, waive, write_verdict
from sashiko.evaluation.metrics.arrays import ModelScores, favourable_scores, two_classes
from sashiko.evaluation.metrics.calibration import error_by_chance, reliability_curve
from sashiko.evaluation.metrics.classes import class_rates
from sashiko.evaluation.metrics.numbers import covered_rows
from sashiko.evaluation.metrics.quality import (
    confusion,
    confusion_matrix,
    difference,
    evaluate_scores,
)
from sashiko.evaluation.metrics.selective import measure_selective
from sashiko.evaluation.metrics.uncertainty import Estimate
from sashiko.explain.explanation_record import (
    ERRORS_FILE,
    write_explanations,
    write_lines,
)
from sashiko.settings.recipe import Recipe, load_recipe
from sashiko.settings.recipe_quality import EvaluateSection, Waiver
from sashiko.steps.slicing import slice_figures, slices_of
from tests.unit.contract.documents import contract_of, document
from tests.unit.explain.records import error, explanations
from tests.unit.run_report.folders import RunFolder

ROWS = 400
DIGEST = "0123456789abcdef" * 4


def recipe(metric: str = "auc", evaluate: Any = None, **bias: Any) -> Recipe:
    """A recipe with one quality gate and, by default, one bias gate."""
    gate = {
        "metric": "DI", "facet": "age", "minimum": 0.8, "maximum": 1.25, "reason": "four fifths",
    }  # fmt: skip
    return Recipe.model_validate({
        "name": "loans", "description": "Late loans.", "contract": "contracts/loans.odcs.yaml",
        "model_package_group": "late-loans",
        "data": {"sources": [{"kind": "file", "path": "loans.csv"}]},
        "text": {"template": "{title}"},
        "model": {
            "name": "tiny-encoder",
            "sources": [{"kind": "pypi", "requirement": "tiny==1", "member": "tiny"}],
            "files": {"config.json": DIGEST},
        },
        "quality": {"gates": [{"metric": metric, "minimum": 0.7, "reason": "to be of use"}]},
        "evaluate": evaluate or {},
        "bias": {"gates": [gate]} | bias,
    })  # fmt: skip


def started(root: Path, *, contract: dict[str, Any] | None = None, **bias: Any) -> RunFolder:
    """A run up to DataGate: evidence, snapshots, data verdicts."""
    run = RunFolder(root)
    evidence = run.folder / "evidence"
    evidence.mkdir(parents=True)
    loaded = contract_of(contract or document(), evidence)
    used = yaml.safe_dump(recipe(**bias).model_dump(mode="json"))
    (evidence / "recipe.yaml").write_text(used)
    write_json(evidence / "source.json", {"git_sha": "4f1c2a9d" * 5, "dirty": False})
    for step, view in (("Snapshot", "training"), ("SnapshotFacets", "facets")):
        manifest = Manifest(
            rows=1234,
            sha256=DIGEST,
            keys_sha256=DIGEST,
            contract=ContractVersion.of(loaded),
            view=view,
            table=loaded.table,
            query="SELECT 1",
            as_of=DIGEST,
            columns=tuple(
                ColumnType(name=column.name, type="string") for column in loaded.view_columns(view)
            ),
        )
        write_json(run.output(step, "manifest") / "manifest.json", manifest.model_dump(mode="json"))
    ages = pa.array(["young", "old"] * (ROWS // 2))
    facets = pa.table({loaded.key: _keys(), "age": ages})
    write_table(run.output("SnapshotFacets", "data") / "data.parquet", facets)
    for step, gate in (("Validate", "data-quality"), ("ValidateFacets", "data-quality-facets")):
        check = Check(name="loan_id: no nulls", value=0, threshold=0, comparison="==", passed=True)
        write_verdict(decide(gate=gate, checks=[check], inputs={}), run.output(step, "verdict"))
    for step in ("Snapshot", "SnapshotFacets", "Validate", "ValidateFacets"):
        run.step(step)
    run.step("DataGate")
    return run


def prepared(run: RunFolder, *, dates: SplitDates | None = None) -> None:
    """Prepare's output; with the dates of a time split."""
    summary = SplitSummary(rows=ROWS, positive_rate=0.4, repeated_rows=0, contradicting_rows=0)
    meta = SplitMeta(
        kind="time" if dates else "text_hash", labels=("no", "yes"), columns=("title",),
        splits=dict.fromkeys(("train", "validation", "test"), summary),
        removed_repeats={"validation": 0, "test": 7}, removed_over_limit=56, dates=dates,
    )  # fmt: skip
    write_json(run.output("Prepare", "meta") / "split.json", meta.model_dump(mode="json"))
    run.step("Prepare")


def judged(
    run: RunFolder,
    *,
    impact: float = 0.95,
    linear: float = 0.6,
    apart: float = 0.3,
    labels: Sequence[str] = ("no", "yes"),
    number: bool = False,
    crossed: Sequence[BiasEstimate] = (),
    unjudged: Sequence[Check] = (),
) -> None:
    """Train to JudgeBias: a model with that disparate impact, beside a linear one that good.

    `apart` is the distance of the scores of the two labels. With `number`, the label is a number,
    of which values above 5 are favourable; odd rows are predicted too high.

    `crossed` are the metrics of intersections, `unjudged` what the bias gate did not judge, of
    which there are none otherwise.
    """
    used = load_recipe(run.folder / "evidence" / "recipe.yaml")
    labels = ("at most 5", "above 5") if number else labels
    truth, predicted = _evaluated(
        run, used, linear=linear, apart=apart, labels=labels, number=number
    )
    run.step("Train")
    run.step("Evaluate")

    two = labels[0], labels[-1]
    write_explanations(explanations(two), run.output("Explain", "explanations"))
    write_lines((error(*two),), run.output("Explain", "texts") / ERRORS_FILE)
    run.step("Explain")

    lines = [f"{one},{two},{('young', 'old')[at % 2]}\n"
             for at, (one, two) in enumerate(zip(truth, predicted, strict=True))]  # fmt: skip
    csv = run.output("BiasInput", "data") / "data.csv"
    csv.write_text("label,predicted_label,age\n" + "".join(lines))
    run.step("BiasInput")

    common: dict[str, Any] = {"facet": "age", "group": "old"}
    counted = {"n_disadvantaged": ROWS // 2, "n_advantaged": ROWS // 2}
    estimates = [
        BiasEstimate(stage="pre_training", metric="DPL", value=0.1234, low=0.1,
                     high=0.15, **common, **counted),
        BiasEstimate(stage="post_training", metric="DI", value=impact, low=impact - 0.05,
                     high=impact + 0.05, **common, **counted),
        BiasEstimate(stage="post_training", metric="RD", value=None,
                     error="no row of the group has the positive label", **common, **counted),
        BiasEstimate(stage="post_training", metric="DPPL", value=0.02, facet="age", group="oldest",
                     n_disadvantaged=7, n_advantaged=ROWS - 7),
        *crossed,
    ]  # fmt: skip
    write_json(
        run.output("JudgeBias", "intervals") / "intervals.json",
        [estimate.model_dump(mode="json") for estimate in estimates],
    )
    against = Mitigation(reweighing=used.reweighing, threshold=used.evaluate.threshold)
    checks = [*bias_checks(used.bias, estimates, against), *unjudged]
    verdict = decide(gate="bias", checks=checks, inputs={})
    write_verdict(verdict, run.output("JudgeBias", "verdict"))
    run.step("JudgeBias")


def registered(
    root: Path,
    *,
    bias: Mapping[str, Any] | None = None,
    status: str = "PendingManualApproval",
    **more: Any,
) -> Path:
    """A run that ended in the registry."""
    run = started(root, **(bias or {}))
    prepared(run)
    judged(run, **more)
    return _in_the_registry(run, status=status)


def _in_the_registry(run: RunFolder, *, status: str = "PendingManualApproval") -> Path:
    run.step("ModelGate")
    record = {"model_package_group": "late-loans", "version": 3, "new": True,
              "status": status, "threshold": 0.5}  # fmt: skip
    write_json(run.output("Register", "registration") / "registration.json", record)
    run.step("Register")
    return run.write("registered")


def blocked(root: Path, **more: Any) -> Path:
    """A run that the bias gate stopped."""
    run = started(root, **more)
    prepared(run)
    judged(run, impact=0.43)
    run.step("ModelGate", "blocked", reason="bias: 1 of 1 check failed")
    return run.write("blocked", reason="bias: 1 of 1 check failed")


def waived(root: Path) -> Path:
    """A run that the bias gate would have stopped, had nobody answered for it."""
    run = started(root)
    prepared(run)
    judged(run, impact=0.43)
    folder = run.output("JudgeBias", "verdict")
    waiver = Waiver(check="DI age=old", reason="the desk reads every case", owner="Ada Lovelace",
                    expires=date(2999, 12, 31))  # fmt: skip
    write_verdict(waive(read_verdict(folder), [waiver], on=date(2026, 1, 2)), folder)
    run.step("JudgeBias")
    return _in_the_registry(run)


def unjudged(
    root: Path, *, contract: dict[str, Any], reason: str, status: str = "PendingManualApproval"
) -> Path:
    """A run of a data set without facets that ended in the registry."""
    run = started(root, contract=contract, judged=False, reason=reason, gates=[])
    prepared(run)
    judged(run)
    run.leave_out("SnapshotFacets", "ValidateFacets", "BiasInput", "JudgeBias")
    return _in_the_registry(run, status=status)


def failed(root: Path) -> Path:
    """A run whose training broke."""
    run = started(root)
    prepared(run)
    log = run.folder / "logs" / "Train.log"
    log.parent.mkdir()
    log.write_text("".join(f"step {number}/40\n" for number in range(40)) + "error: out of rows\n")
    run.step("Train", "failed", reason="out of rows", log="logs/Train.log")
    return run.write("failed", reason="step Train failed: out of rows")


def _evaluated(
    run: RunFolder,
    used: Recipe,
    *,
    linear: float,
    apart: float,
    labels: Sequence[str],
    number: bool,
) -> tuple[Any, Any]:
    random, several, policy = np.random.default_rng(0), len(labels) > 2, used.evaluate.abstain
    threshold, first = (
        (policy.below if policy else 0.0, len(labels) - 2)
        if several
        else (5.0 if number else 0.5, 1)
    )
    values, half_width = None, None
    if number:
        values = random.normal(10, 8, ROWS)
        truth, half_width = (values > 5).astype(np.int64), 6.5
        errors = random.normal(0, 3, ROWS) + 2 * (np.arange(ROWS) % 2)
        by_class = (values + errors)[:, None]
        other_by_class = (values + random.normal(0, 6 if linear < 1 else 1, ROWS))[:, None]
    elif several:  # the last class has few rows, and the second is taken for the third
        truth = random.integers(0, len(labels) - 1, ROWS)
        truth[:20] = len(labels) - 1
        known = np.eye(len(labels))[truth] + 0.7 * np.outer(truth == 1, np.eye(len(labels))[2])
        by_class, other_by_class = (
            special.softmax(3 * known * size + random.normal(0, 1, known.shape), axis=1)
            for size in (apart * 3, linear)
        )
    else:
        truth = np.arange(ROWS) % 5 // 3
        scores = np.clip(0.35 + apart * truth + random.normal(0, 0.15, ROWS), 0, 1)
        other = np.clip(0.5 + linear * (truth - 0.5) + random.normal(0, 0.3, ROWS), 0, 1)
        by_class, other_by_class = two_classes(scores), two_classes(other)
    section = EvaluateSection(bootstrap_replicates=100)
    resamples = {"replicates": 100, "seed": 0}
    model, linear_model = (ModelScores(each, threshold) for each in (by_class, other_by_class))
    model = replace(model, half_width=half_width)
    known = truth if values is None else values
    baseline = "tfidf_ridge_regression" if number else "tfidf_logistic_regression"
    score = favourable_scores(by_class, first=first)
    sure, right = by_class.max(axis=1), (model.predicted == truth).astype(np.int64)
    rated = (right, sure) if several else (truth, score)
    if values is not None:
        rated = (covered_rows(values, model).astype(np.int64), score)
    metrics = evaluate_scores(known, model, **resamples)
    lead = difference(known, model, linear_model, **resamples)
    record.write_evaluation(
        record.Evaluation(
            splits={"test": record.SplitCount(
                rows=ROWS,
                positives=int((truth >= first).sum()),
                mean=None if values is None else float(values.mean()),
            )},
            labels=tuple(labels),
            first_favourable=first,
            threshold=threshold,
            number=record.NumberFigures(
                mean=10, standard_deviation=8, half_width=6.5, coverage=0.9
            ) if number else None,
            bootstrap_replicates=100,
            candidate=metrics,
            validation=metrics,
            others={baseline: evaluate_scores(known, linear_model, **resamples)},
            thresholds={baseline: threshold},
            leads={baseline: lead},
            minimum_effect=section.minimum_effect,
            champion=None,
            confusion=(
                tuple(map(tuple, confusion_matrix(truth, model).tolist()))
                if several
                else confusion(truth, model)
            ),
            classes=class_rates(truth, model) if several else (),
            selective=policy and measure_selective(truth, model, **resamples),
            calibration=record.Calibration(
                curve=tuple(reliability_curve(*rated)),
                error_by_chance=Estimate(value=None, low=None, high=None)
                if number
                else error_by_chance(rated[1], replicates=100, seed=0),
                temperature=None,
                before={},
            ),
            slices=slice_figures(section, truth, model, slices_of(pa.table({
                "branch": ["east", "west"] * (ROWS // 2), "pages": list(range(ROWS)),
                "shelf": ["rare"] * 20 + ["common"] * (ROWS - 20),
            })), values=values),
            learning_curve=(
                record.MetricLine(step=10, epoch=1, train_loss=0.7, learning_rate=1e-4),
                record.MetricLine(step=20, epoch=1, train_loss=0.5, learning_rate=1e-5,
                           validation_loss=0.52),
            ),
            notes=("No champion yet.",),
        ),
        run.output("Evaluate", "metrics"),
    )  # fmt: skip
    decision = record.Decision(
        threshold=0.5, policy="fixed", metric="accuracy", validation_value=0.8
    )
    if several:
        decision = record.Decision(threshold=threshold, policy="argmax", validation_value=0.8125)
    elif number:
        decision = record.Decision(threshold=threshold, policy="bound")
    record.write_decision(decision, run.output("Evaluate", "decision"))
    training = Training(
        train=used.train, reweighing=used.reweighing, train_rows=used.data.train_rows
    )
    by_label = dict(zip(labels, class_rates(truth, model), strict=True)) if several else {}
    checks = quality_checks(used.quality, metrics, {}, training, by_class=by_label)
    verdict = decide(gate="model-quality", checks=checks, inputs={})
    write_verdict(verdict, run.output("Evaluate", "verdict"))
    columns = {"key": _keys(), "split": ["test"] * ROWS, "label": truth, "score": score,
               "predicted": model.predicted}  # fmt: skip
    more = {"scores": list(by_class)} if several else {}
    if values is not None:
        more = {"value": values, "half_width": [half_width] * ROWS}
    table = pa.table(columns | more)
    write_table(run.output("Evaluate", "predictions") / "predictions.parquet", table)
    return truth, model.predicted


def _keys() -> list[str]:
    return [f"L{number:04d}" for number in range(ROWS)]


def contract_with(**changes: Any) -> dict[str, Any]:
    """The contract's document with other top-level values."""
    return document() | changes
