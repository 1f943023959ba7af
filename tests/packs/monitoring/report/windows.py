"""Weekly windows of a monitored model, made up with chosen changes."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np

from sashiko.evaluation.metrics.calibration import wilson_interval
from sashiko.evaluation.metrics.quality import Confusion
from sashiko_packs.monitoring.audited import AuditedMeasure, AuditedPeriod, LabelSummary, Quality
from sashiko_packs.monitoring.capture.record import (
    CaptureProblem,
    CaptureSummary,
    ProblemKind,
    VersionRows,
)
from sashiko_packs.monitoring.checks import (
    AUDITED_ACCURACY,
    COHENS_W,
    DISPARATE_IMPACT,
    TEXT_AUC,
    Kind,
    MonitorCheck,
    describe_alarm,
    overall,
)
from sashiko_packs.monitoring.result import (
    Disparity,
    Distribution,
    MonitorResult,
)
from sashiko_packs.monitoring.steps.judge import capture_checks, summarise, version_checks

FIRST = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
WEEK = dt.timedelta(days=7)
DIGEST = "0" * 64
COLUMNS = ("product", "severity", "amount")
PROBLEMS: tuple[tuple[ProblemKind, int, str], ...] = (
    ("cut-line", 3, "version=3/AllTraffic/2026/01/05/07/a.jsonl:12"),
    ("without-key", 41, ""),
)


def deploy_week(result: MonitorResult, *, before: int) -> MonitorResult:
    """Returns a window a quarter of whose rows another version answered."""
    [own] = result.capture.versions
    rows = own.rows // 4
    versions = (
        own.model_copy(update={"version": before, "rows": rows}),
        own.model_copy(update={"rows": own.rows - rows}),
    )
    capture = result.capture.model_copy(update={"versions": versions})
    checks = (*result.checks, *version_checks(capture, version=result.version, history=()))
    update = {"capture": capture, "checks": checks, "outcome": overall(checks)}
    return result.model_copy(update=update)


def windows(
    count: int,
    *,
    rows: int = 2_000,
    shifted: int | None = None,
    deploy: int | None = None,
    columns: tuple[str, ...] = COLUMNS,
    cells: int = 6,
    seed: int = 0,
    **changes: Any,
) -> list[MonitorResult]:
    """Makes weekly windows by their end; fewer than 100 rows are too few to be judged.

    From the week `shifted` on the first column, the accuracy and a group's decisions shift; from
    `deploy` on version 4 answers, after version 3. `cells` are those of a column, `changes` those
    of every result.
    """
    generator = np.random.default_rng(seed)
    results: list[MonitorResult] = []
    for week in range(count):
        is_second = deploy is not None and week >= deploy
        same = [item for item in results if item.version == (4 if is_second else 3)]
        results.append(
            _window(
                generator, week=week, rows=rows, is_shifted=shifted is not None and week >= shifted,
                version=4 if is_second else 3, columns=columns, cells=cells,
                before=same[-1].quality.periods if same else (),
            ).model_copy(update=changes)
        )  # fmt: skip
    return results


def _window(generator, *, week, rows, is_shifted, version, columns, cells, before) -> MonitorResult:
    start, end = FIRST + week * WEEK, FIRST + (week + 1) * WEEK
    rows = round(rows * generator.uniform(0.8, 1.2))
    reference = 0.774 if version == 3 else 0.79
    quality = _quality(
        generator, version=version, start=start, accuracy=reference - (0.07 if is_shifted else 0.0),
        tolerated=reference - 0.02, before=before, rows=rows,
    )  # fmt: skip
    distributions = tuple(
        _distribution(
            generator, name, cells=cells, rows=rows, move=0.2 if is_shifted and not at else 0
        )
        for at, name in enumerate((*columns, "score"))
    )
    disparities = tuple(
        _disparity(generator, rows, *group, value=0.72 if is_shifted and at == 0 else 0.96)
        for at, group in enumerate((("age", "old"), ("region", "north")))
    )
    captured = _capture(start, end, version=version, rows=rows)
    checks = (
        *capture_checks(captured),
        _check("missing values of amount", "share of rows that break the rule", rows, value=0.001,
               tolerance=0.01),
        *(
            _check(f"drift of {item.name}".replace(" score", " the scores"), COHENS_W, rows,
                   value=_w(item), tolerance=0.1)
            for item in distributions
        ),
        _check("drift of the texts", TEXT_AUC, rows, value=generator.uniform(0.5, 0.54),
               tolerance=0.55),
        *(
            _check(f"disparate impact of {item.facet}{name}", DISPARATE_IMPACT, rows // 3,
                   value=item.window, low=item.low, high=item.high, tolerance=tolerance)
            for item in disparities
            for name, tolerance in (("", 0.86), (", 0.8 to 1.25 by its gate", 0.8))
        ),
        quality.check,
    )  # fmt: skip
    return MonitorResult(
        group="late-loans",
        version=version,
        recipe="late-loans",
        start=start,
        end=end,
        outcome=overall(checks),
        summary=summarise(checks),
        alarms=tuple(describe_alarm(c) for c in checks if c.outcome == "alarm"),
        checks=checks,
        capture=captured,
        distributions=distributions,
        disparities=disparities,
        without_facets=12,
        quality=quality,
        reference_accuracy=reference,
        reference_sha256=DIGEST,
    )  # fmt: skip


def _capture(start: dt.datetime, end: dt.datetime, *, version: int, rows: int) -> CaptureSummary:
    problems = PROBLEMS if rows >= 1_600 else PROBLEMS[1:]  # 3 of fewer lines are 1 % and more
    return CaptureSummary(
        start=start, end=end, files=168, lines=rows // 4 + 3, requests=rows // 4, rows=rows,
        versions=(VersionRows(version=version, requests=rows // 4, rows=rows, first=start,
                              last=end),),
        problems=tuple(CaptureProblem(kind=k, count=n, first=f) for k, n, f in problems),
    )  # fmt: skip


_KINDS: Mapping[str, Kind] = {COHENS_W: "drift", TEXT_AUC: "drift", DISPARATE_IMPACT: "bias"}


def _check(name, effect, rows, *, value, tolerance, low=None, high=None) -> MonitorCheck:
    known = {
        "name": name, "kind": _KINDS.get(effect, "inputs"), "effect": effect, "rows": rows,
        "rows_needed": 100, "tolerance": tolerance,
    }  # fmt: skip
    if rows < 100 or value is None:
        return MonitorCheck(**known, outcome="not judged", reason=f"{rows} rows, 100 are needed")
    is_lowest = effect == DISPARATE_IMPACT
    if value < tolerance if is_lowest else value > tolerance:
        return MonitorCheck(
            **known, outcome="alarm", value=value, low=low, high=high, p_value=0.0004,
            reason="changed by more than the tolerance",
        )  # fmt: skip
    return MonitorCheck(
        **known, outcome="ok", value=value, low=low, high=high, p_value=0.7,
        reason="no change is shown",
    )  # fmt: skip


def _quality(generator, *, version, start, accuracy, tolerated, before, rows) -> Quality:
    """A draw a week: the latest is open, one in ten is closed without its labels."""
    settled = [
        period.model_copy(update=_labels(generator, accuracy=accuracy) | {"closed": start})
        if period.state == "open"
        else period
        for period in before
    ]
    drawn = min(100, rows)
    periods = (*settled, AuditedPeriod(
        start=start, end=start + WEEK, answers=rows, labelled=_confusion(11, 3),
        unlabelled_positive=0, unlabelled_negative=drawn - 14, late=0, state="open", closed=None,
    ))  # fmt: skip
    closed = [period for period in periods if period.state != "open"]
    right, wrong = sum(p.right for p in closed), sum(p.wrong for p in closed)
    labels = right + wrong
    measure = _measure(right, wrong)
    outcome = (
        "alarm"
        if accuracy < tolerated and labels >= 400
        else "ok"
        if labels >= 100
        else "not judged"
    )
    check = MonitorCheck(
        name="accuracy", kind="accuracy", outcome=outcome, rows=labels, rows_needed=100,
        effect=AUDITED_ACCURACY, value=measure.value, tolerance=tolerated, p_value=0.01,
        reason=f"{labels} audited labels, 100 are needed" if labels < 100 else
        f"accuracy is {'' if outcome == 'alarm' else 'not shown to be '}below {tolerated:.3f}",
    )  # fmt: skip
    return Quality(
        checks=(check,),
        periods=periods,
        since_deploy=measure,
        measures=(measure.model_copy(update={"name": "recall"}),),
        labels=LabelSummary(version=version, periods=periods, waiting=rows - 54, known=rows,
                            duplicated=2, corrected=5, unknown=1),
    )  # fmt: skip


def _labels(generator: np.random.Generator, *, accuracy: float) -> dict[str, Any]:
    if generator.random() < 0.1:
        return {"labelled": _confusion(20, 5), "unlabelled_negative": 75, "state": "overdue"}
    right = int(generator.binomial(100, accuracy))
    labelled = _confusion(right, 100 - right)
    return {"labelled": labelled, "unlabelled_negative": 0, "state": "complete"}


def _confusion(right: int, wrong: int) -> Confusion:
    return Confusion(
        true_positives=right // 2, false_positives=wrong, false_negatives=0,
        true_negatives=right - right // 2,
    )  # fmt: skip


def _measure(right: int, wrong: int) -> AuditedMeasure:
    labels = right + wrong
    value, low, high = None, None, None
    if labels >= 100:
        value = right / labels
        low, high = wilson_interval(value, labels)
    return AuditedMeasure(
        name="accuracy", rows=labels, value=value, low=low, high=high, worst=value, best=value,
        reference=0.774,
    )  # fmt: skip


def _distribution(generator, name, *, cells, rows, move) -> Distribution:
    shares = 1 / np.arange(1, cells + 1)
    shares /= shares.sum()
    now = shares + move * np.eye(1, cells, 2 % cells)[0]
    before = (shares * 5_000).astype(int)
    window = generator.multinomial(rows, now / now.sum())
    names = [
        f"{at / cells:.2g} to {(at + 1) / cells:.2g}" if name == "score" else f"{name} {at + 1}"
        for at in range(cells)
    ]
    return Distribution(
        name=name,
        cells=(*names, "other", "none"),
        reference=(*(_shown(int(n)) for n in before), None, None),
        window=(*(_shown(int(n)) for n in window), 0, 0),
    )


def _shown(count: int) -> int | None:
    return None if 0 < count < 10 else count


def _w(item: Distribution) -> float:
    before = np.array([n or 0 for n in item.reference]) / 5_000
    now = np.array([n or 0 for n in item.window])
    now = now / max(now.sum(), 1)
    return float(np.sqrt(((now - before) ** 2 / np.maximum(before, 0.002)).sum())) / 2


def _disparity(generator, rows, facet, group, *, value) -> Disparity:
    if rows < 100:
        return Disparity(facet=facet, group=group, reference=0.96, window=None, low=None, high=None)
    half = 4.5 / np.sqrt(rows)
    now = value * float(np.exp(generator.normal(0, half / 4)))
    return Disparity(
        facet=facet, group=group, reference=0.96, window=now, low=now - half, high=now + half
    )
