"""Compares two versions by the scores that they give to the rows of the same requests.

Differences are paired by row, and a bootstrap resamples whole requests, because the rows of a
request may be alike. Where fewer than 10 rows differ, a bootstrap sees hardly an error although
there may be one, and the count could stand for a person: the difference is not judged, nor shown.
"""

from typing import Final

import numpy as np

from sashiko.evaluation.metrics.arrays import Floats, Ints, ratio
from sashiko.evaluation.metrics.resampled import Statistics, resample_statistics
from sashiko.evaluation.metrics.scored import Scored
from sashiko.evaluation.metrics.uncertainty import Estimate, standing
from sashiko.monitoring.audit import LABELS_NEEDED, enough_labels
from sashiko.monitoring.clusters import FEWEST_REQUESTS
from sashiko.monitoring.result import SMALLEST_COUNT, hide_small_counts
from sashiko.monitoring.shadow import QUANTILES, Change, Comparison, Difference
from sashiko.monitoring.shadow_rows import AuditedRows, ScoredRows
from sashiko.settings.quality import EvaluateSection

ROWS_NEEDED: Final = 200  # of them 10 lie beyond the outermost quantiles
_RATE: Final = "positive_rate"
_QUALITY: Final = ("accuracy", "auc")


def compare(
    rows: ScoredRows,
    audited: AuditedRows,
    section: EvaluateSection,
    *,
    thresholds: tuple[float, float],
) -> Comparison:
    """Compares a candidate with the champion; equal rows give an equal record.

    Args:
        rows: that both have scored.
        audited: those of them that were drawn for the audit and are labelled.
        section: replicates and seed of the bootstrap, and the smallest lead that counts.
        thresholds: the candidate's and the champion's.
    """
    after, before = rows.candidate >= thresholds[0], rows.champion >= thresholds[1]
    kinds: Ints = np.bincount(2 * before + after, minlength=4)
    too_few = _too_few_rows(rows)
    lead, quantiles = ({}, ()) if too_few else _resample(rows, audited, section, thresholds)
    unlabelled = too_few or _too_few_labels(rows, audited)
    changed = int(np.sum((before != after)[audited.places]))
    positives = int(audited.labels.sum())
    of_one_label = min(positives, len(audited.labels) - positives)
    return Comparison(
        requests=len(np.unique(rows.requests)),
        rows=len(before),
        refused=rows.refused,
        audited_rows=len(audited.places),
        decisions=tuple(kinds.tolist()),
        positive_rate=_judge_rate(lead.get(_RATE), kinds, too_few),
        accuracy=_judge_lead(
            lead.get("accuracy"),
            unlabelled or _few(changed, "are decided differently"),
            section,
        ),
        auc=_judge_lead(
            lead.get("auc"), unlabelled or _few(of_one_label, "have one of the labels"), section
        ),
        score_differences=quantiles,
    )


def _resample(
    rows: ScoredRows,
    audited: AuditedRows,
    section: EvaluateSection,
    thresholds: tuple[float, float],
) -> tuple[dict[str, Estimate], tuple[Estimate, ...]]:
    """Returns the candidate's leads, and the quantiles of the scores' differences."""
    ours, theirs, differences = resample_statistics(
        [
            _answers(rows, audited, rows.candidate, threshold=thresholds[0]),
            _answers(rows, audited, rows.champion, threshold=thresholds[1]),
            _quantiles(rows),
        ],
        rows=len(np.unique(rows.requests)),
        replicates=section.bootstrap_replicates,
        seed=section.seed,
    )
    return ours.lead(theirs), tuple(differences.estimates().values())


def _answers(
    rows: ScoredRows, audited: AuditedRows, scores: Floats, *, threshold: float
) -> Statistics:
    """Returns a version's statistics by weights of requests: over all rows, and the audited ones.

    Audited rows count by the inverse of the probability with which they were drawn.
    """
    sizes = np.bincount(rows.requests).astype(np.float64)
    positive = np.bincount(rows.requests, weights=scores >= threshold)
    requests = rows.requests[audited.places]

    def compute(weights: Floats) -> dict[str, Floats]:
        values = {_RATE: ratio(weights @ positive, weights @ sizes)}
        if len(requests):
            scored = Scored.of(audited.labels, scores[audited.places], threshold=threshold)
            quality = scored.metrics(weights[:, requests] / audited.probabilities)
            values |= {metric: quality[metric] for metric in _QUALITY}
        return values

    return compute


def _quantiles(rows: ScoredRows) -> Statistics:
    differences = rows.candidate - rows.champion
    order = np.argsort(differences, kind="stable")
    ascending, requests = differences[order], rows.requests[order]

    def compute(weights: Floats) -> dict[str, Floats]:
        values = np.empty((len(QUANTILES), len(weights)))
        # One by one: all at once would take replicates x rows of memory.
        for number, weight in enumerate(weights):
            below = np.cumsum(weight[requests])
            values[:, number] = ascending[np.searchsorted(below, np.array(QUANTILES) * below[-1])]
        return {str(place): value for place, value in enumerate(values)}

    return compute


def _too_few_rows(rows: ScoredRows) -> str:
    requests = len(np.unique(rows.requests))
    if len(rows.keys) >= ROWS_NEEDED and requests >= FEWEST_REQUESTS:
        return ""
    return (
        f"{len(rows.keys):,} rows in {requests:,} requests, {ROWS_NEEDED} rows in "
        f"{FEWEST_REQUESTS} requests are needed"
    )


def _too_few_labels(rows: ScoredRows, audited: AuditedRows) -> str:
    labelled, requests = len(audited.places), len(np.unique(rows.requests[audited.places]))
    needed = max(LABELS_NEEDED, enough_labels(audited.drawn))
    if labelled >= needed and requests >= FEWEST_REQUESTS:
        return ""
    return (
        f"{labelled:,} of {audited.drawn:,} drawn rows of the window are labelled, in "
        f"{requests:,} requests; {needed:,} in {FEWEST_REQUESTS} are needed"
    )


def _few(count: int, text: str) -> str:
    return "" if count >= SMALLEST_COUNT else f"fewer than {SMALLEST_COUNT} audited rows {text}"


def _judge_rate(rate: Estimate | None, kinds: Ints, too_few: str) -> Difference:
    if rate is None:
        return Difference(outcome="not judged", reason=too_few)
    if not kinds[1] and not kinds[2]:
        return Difference(outcome="same decisions")
    if None in hide_small_counts(kinds.tolist()):  # the difference would give the count away
        reason = f"a kind of decision has 1 to {SMALLEST_COUNT - 1} rows, which are hidden"
        return Difference(outcome="not judged", reason=reason)
    outcome: Change = "no change of the positive rate is shown"
    if rate.low is not None and rate.low > 0:
        outcome = "more positive decisions"
    elif rate.high is not None and rate.high < 0:
        outcome = "fewer positive decisions"
    return Difference(outcome=outcome, estimate=rate)


def _judge_lead(lead: Estimate | None, unjudged: str, section: EvaluateSection) -> Difference:
    if lead is None or unjudged:
        return Difference(outcome="not judged", reason=unjudged)
    outcome = standing(lead, minimum_effect=section.minimum_effect)
    return Difference(outcome=outcome, estimate=lead)
